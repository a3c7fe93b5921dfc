"""The console script, also as ``python -m edgewright``."""

from __future__ import annotations

from pipeline.cli.main import main

if __name__ == "__main__":
    main()
