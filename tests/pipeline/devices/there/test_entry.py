"""Where a worker of what was sent begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_WORKER = "import sys, tempfile; open(sys.argv[2], 'w').write(tempfile.gettempdir())"


def test_temporary_files_of_a_worker_lie_in_its_jobs_folder(tmp_path: Path) -> None:
    """There they go with it, however it ended; also where the command that starts Python names another folder."""
    job, sources = tmp_path / "job", tmp_path / "sources"
    job.mkdir()
    sources.mkdir()
    (sources / "a_worker.py").write_text(_WORKER, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-c", "from pipeline.devices.there.entry import main; main()", "worker", str(os.getpid()),
         "a_worker", str(job / "request.json"), str(job / "result.json")],
        check=True, env={**os.environ, "PYTHONPATH": f"{sources}:{Path(__file__).parents[4]}", "TMPDIR": str(tmp_path)},
    )  # fmt: skip

    assert (job / "result.json").read_text(encoding="utf-8") == str(job)
