"""What the tiny network's bundle holds besides its engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporters.bundle import Contents
from exporters.provenance import Step
from pipeline.chain.keys import key_components
from pipeline.stage import Inputs
from pipeline.stages.baseline import Baseline
from pipeline.subject import Subject

if TYPE_CHECKING:
    from pipeline.subject import Parts

Done = subprocess.CompletedProcess[str]
RunPy = Callable[..., Done]

_SERVES = """
import json, os, runpy, sys, tempfile, traceback

import numpy, onnxruntime, PIL.Image
try:
    import openvino
except ImportError:
    pass

for line in sys.stdin:
    asked = json.loads(line)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.chdir(asked["cwd"])
            sys.argv = asked["typed"]
            code = 0
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
            except SystemExit as left:
                code = left.code or 0
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # libraries might wait at their end for threads that were not forked along
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    print(json.dumps([code, *texts]), flush=True)
"""


@pytest.fixture(scope="session")
def run_py() -> Iterator[RunPy]:
    """Runs a bundle's script: ``run_py(bundle, *arguments, cwd=...)``.

    In a fork of a process that has the runtimes loaded, since loading them costs more than all else the script does.
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-c", _SERVES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(bundle: Path, *arguments: str | Path, cwd: Path | None = None) -> Done:
            typed = [str(bundle / "run.py"), *map(str, arguments)]
            print(json.dumps({"typed": typed, "cwd": str(cwd or Path.cwd())}), file=server.stdin, flush=True)
            code, out, err = json.loads(server.stdout.readline())
            return Done(typed, code, out, err)

        yield run
        server.stdin.close()


@pytest.fixture(scope="session")
def contents(session_parts: Parts) -> Contents:
    """What its bundle holds besides the engine; the model is named as somebody with a folder of their own types it."""
    inputs = Inputs(artifacts={}, subject=Subject(parts=session_parts).restricted(Baseline.reads))
    decided_by = key_components(Baseline(), inputs, seed=7)
    return Contents(
        model="/home/somebody/networks/net.py:tiny",
        task="classification",
        preprocess=session_parts.preprocess,
        classes=session_parts.dataset.classes,
        provenance={"stages": {"baseline": "0" * 64}, "model": session_parts.model.identity()},
        steps=(Step(stage="baseline", decided_by=decided_by, sha256="0" * 64),),
    )
