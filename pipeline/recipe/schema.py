"""``python -m pipeline.recipe.schema`` prints the JSON schema of a recipe, by which editors complete and check one."""

from __future__ import annotations

import json

from pipeline.recipe.records import Recipe

if __name__ == "__main__":
    print(json.dumps(Recipe.model_json_schema(by_alias=True), indent=2, sort_keys=True))  # noqa: T201 - its purpose
