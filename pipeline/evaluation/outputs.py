"""The outputs of an engine over a split, image by image, from a fresh process on the target's own runtime."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import EdgewrightError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import Progress
    from pipeline.session import EngineSpec, Outputs

__all__ = ["collect_outputs"]


def collect_outputs(
    folder: Path,
    spec: EngineSpec,
    opener: str,
    samples: Sequence[Sample],
    preprocess: PreprocessSpec,
    progress: Progress,
) -> list[Outputs]:
    """Run every sample through the engine, one at a time.

    Args:
        folder: Where the engine's files lie.
        spec: How to open it.
        opener: ``module:function`` of the target's opener.
        samples: In the order of the result.
        preprocess: Applied to every image.
        progress: Told of every image.

    Returns:
        The outputs of each sample, in the order of the samples.

    Raises:
        EdgewrightError: with the process's last words when it failed.
        ResourceError: when it was killed, as the kernel does when memory runs out.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        request, result = Path(scratch, "request.json"), Path(scratch, "outputs.npz")
        request.write_text(
            json.dumps(
                {
                    "folder": str(folder),
                    "spec": spec.to_json(),
                    "opener": opener,
                    "preprocess": preprocess.model_dump(mode="json"),
                    "images": [str(sample.path) for sample in samples],
                }
            ),
            encoding="utf-8",
        )
        _run(request, result, total=len(samples), progress=progress)
        with np.load(result, allow_pickle=False) as found:
            stacked = [found[f"arr_{number}"] for number in range(len(found.files))]
        return list(zip(*stacked, strict=True))


def _run(request: Path, result: Path, *, total: int, progress: Progress) -> None:
    command = [sys.executable, "-P", "-m", "pipeline.evaluation.worker", str(request), str(result)]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as worker,  # noqa: S603 - ourselves
        progress.track("accuracy", total) as ticker,
    ):
        assert worker.stdout is not None  # noqa: S101 - asked for above
        for line in worker.stdout:
            ticker.advance(int(line))
        if worker.wait() != 0:
            errors.seek(0)
            words = errors.read().strip().splitlines()
            if worker.returncode == -signal.SIGKILL:
                raise ResourceError(
                    "a scoring process was killed, as happens when memory runs out",
                    where="accuracy on the target's runtime",
                    fix="close other programs, or measure on a machine with more memory",
                )
            raise EdgewrightError(
                "the model could not be evaluated",
                where="accuracy on the target's runtime",
                got=words[-1] if words else f"exit code {worker.returncode}",
            )
