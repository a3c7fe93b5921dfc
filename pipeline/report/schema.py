"""``python -m pipeline.report.schema`` prints the JSON schema of ``report.json``, as published under docs/schema."""

from __future__ import annotations

import json

from pipeline.report.record import Report

if __name__ == "__main__":
    print(json.dumps(Report.model_json_schema(by_alias=True), indent=2, sort_keys=True))  # noqa: T201 - its purpose
