"""``python -m pipeline.fleet.schema`` prints the JSON schema of a fleet's file, by which editors complete and check."""

from __future__ import annotations

import json

from pipeline.fleet.records import Fleet

if __name__ == "__main__":
    print(json.dumps(Fleet.model_json_schema(by_alias=True), indent=2, sort_keys=True))  # noqa: T201 - its purpose
