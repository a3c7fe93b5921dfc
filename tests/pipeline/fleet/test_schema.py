"""The published JSON schemas of a fleet's file and of its report, by which editors and programs read them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.fleet.records import Fleet
from pipeline.report.fleet_record import FleetReport

if TYPE_CHECKING:
    from pydantic import BaseModel

SCHEMAS = Path(__file__).parents[3] / "docs" / "schema"
PUBLISHED = [
    (Fleet, "fleet.schema.json", "pipeline.fleet.schema"),
    (FleetReport, "fleet-report.schema.json", "pipeline.report.fleet_schema"),
]


@pytest.mark.parametrize(("record", "file", "module"), PUBLISHED)
def test_the_published_schema_is_that_of_the_record(record: type[BaseModel], file: str, module: str) -> None:
    schema = record.model_json_schema(by_alias=True)
    assert (SCHEMAS / file).read_text(encoding="utf-8") == json.dumps(schema, indent=2, sort_keys=True) + "\n"


@pytest.mark.parametrize(("record", "file", "module"), PUBLISHED)
def test_the_module_prints_what_is_published(record: type[BaseModel], file: str, module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ((SCHEMAS / file).read_text(encoding="utf-8"), "")


def test_a_text_may_stand_for_a_model_a_data_set_and_a_recipe() -> None:
    fields = json.loads((SCHEMAS / "fleet.schema.json").read_text(encoding="utf-8"))["properties"]
    for name, section in (("models", "ModelEntry"), ("data", "DataEntry"), ("recipes", "RecipeEntry")):
        assert fields[name]["items"]["anyOf"] == [{"type": "string"}, {"$ref": f"#/$defs/{section}"}]


def test_the_published_schema_refuses_unknown_keys_in_every_record() -> None:
    schema = json.loads((SCHEMAS / "fleet.schema.json").read_text(encoding="utf-8"))
    records = [schema, *schema["$defs"].values()]
    assert all(record["additionalProperties"] is False for record in records if "properties" in record)
