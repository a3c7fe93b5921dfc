"""The published JSON schema of a recipe, by which editors complete and check one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.recipe.records import Recipe

PUBLISHED = Path(__file__).parents[3] / "docs" / "schema" / "recipe.schema.json"


def test_the_published_schema_is_that_of_the_record() -> None:
    schema = Recipe.model_json_schema(by_alias=True)
    assert PUBLISHED.read_text(encoding="utf-8") == json.dumps(schema, indent=2, sort_keys=True) + "\n"


def test_the_module_prints_what_is_published() -> None:
    command = [sys.executable, "-m", "pipeline.recipe.schema"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == PUBLISHED.read_text(encoding="utf-8")
    assert done.stderr == ""


def test_the_published_schema_refuses_unknown_keys_in_every_record() -> None:
    schema: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    records = (("Recipe", schema), *schema["$defs"].items())
    assert [
        name for name, record in records if "properties" in record and record.get("additionalProperties", True)
    ] == []
