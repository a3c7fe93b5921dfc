"""``python -m pipeline.report.fleet_schema`` prints the JSON schema of ``fleet.json``, as under docs/schema."""

from __future__ import annotations

import json

from pipeline.report.fleet_record import FleetReport

if __name__ == "__main__":
    print(json.dumps(FleetReport.model_json_schema(by_alias=True), indent=2, sort_keys=True))  # noqa: T201 - its purpose
