"""``python -m pipeline.cli.schema`` prints the JSON schema of the documents of ``--json``, as under docs/schema."""

from __future__ import annotations

import json

from pipeline.cli.documents import document_schema

if __name__ == "__main__":
    print(json.dumps(document_schema(), indent=2, sort_keys=True))  # noqa: T201 - its purpose
