"""The published JSON schema of a report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.report.record import Report

PUBLISHED = Path(__file__).parents[3] / "docs" / "schema" / "report.schema.json"


def test_the_published_schema_is_that_of_the_record() -> None:
    schema = Report.model_json_schema(by_alias=True)
    assert PUBLISHED.read_text(encoding="utf-8") == json.dumps(schema, indent=2, sort_keys=True) + "\n"


def test_the_module_prints_what_is_published() -> None:
    command = [sys.executable, "-m", "pipeline.report.schema"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == PUBLISHED.read_text(encoding="utf-8")
    assert done.stderr == ""


def test_the_published_schema_refuses_unknown_keys_in_every_record() -> None:
    schema: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    records = (("Report", schema), *schema["$defs"].items())
    assert [
        name for name, record in records if "properties" in record and record.get("additionalProperties", True)
    ] == []


def test_the_published_schema_names_every_key_of_a_written_report(report: Report) -> None:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert set(json.loads(report.model_dump_json(by_alias=True))) == set(schema["properties"])
