"""A training as a program of its own, for tests that kill it or start it several times at once.

``python one_training.py JOB``, where JOB is a JSON file: ``schedule``, ``out`` (what is left: weights and curve),
``kept`` (folder or null), ``every_s`` (how often the state is left within an epoch, or null), ``images`` (how many),
``dies`` (rank and step at which that process kills itself, or null), ``diverges`` (rank and step of a loss that is no
number there, though its gradient is one; or null). Beside what is left lies what was drawn in the last step after its
dropout.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import distributed, nn

from pipeline.data.dataset import Sample
from pipeline.errors import EdgewrightError
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training import checkpoint
from pipeline.training.images import Batch, TrainingImages
from pipeline.training.loop import train
from pipeline.training.ranks import Ranks
from pipeline.training.schedule import Schedule


def _images(folder: Path, count: int) -> TrainingImages:
    """Noise that is brighter on one side: which one is the label."""
    folder.mkdir(exist_ok=True)
    samples = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 200, (16, 16, 3))
        pixels[:, : 8 if number % 2 else 16] += 20
        path = folder / f"{number}-{os.getpid()}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        samples.append(Sample(path=path, name=path.name, label=number % 2, sha256=str(number)))
    preprocess = PreprocessSpec(size=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    return TrainingImages(samples, preprocess, SilentProgress(), Classification())


def _network() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU())
    return nn.Sequential(*layers, nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))


def main(job: dict[str, object]) -> None:
    """Train; write the curve and a hash of the weights."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        distributed.init_process_group("gloo")
    ranks, out = Ranks.here(), Path(str(job["out"]))
    calls, drawn = [0], [0.0]

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        calls[0] += 1
        if job["dies"] == [ranks.number, calls[0]]:
            os.kill(os.getpid(), signal.SIGKILL)
        if calls[0] == 1:
            print("training", flush=True)  # noqa: T201 - the test waits for it
        if job["diverges"] == [ranks.number, calls[0]]:
            return nn.functional.cross_entropy(outputs, batch.labels) + float("nan")
        drawn[0] = torch.rand(1).item()
        return nn.functional.cross_entropy(outputs, batch.labels)

    if job["every_s"] is not None:
        checkpoint._EVERY_S = float(str(job["every_s"]))
    network = _network()
    try:
        epochs = train(
            network,
            _images(out.parent / "images", int(str(job["images"]))),
            Schedule.model_validate(job["schedule"]),
            loss,
            seed=1,
            progress=SilentProgress(),
            description="a training",
            kept=Path(str(job["kept"])) if job["kept"] else None,
        )
    except EdgewrightError as error:
        print(f"error: {error}", flush=True)  # noqa: T201 - the test reads it
        sys.exit(error.exit_code)
    out.with_suffix(f".{ranks.number}.drawn").write_text(str(drawn[0]), encoding="utf-8")
    content = b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())
    told = {"weights": hashlib.sha256(content).hexdigest(), "epochs": [epoch.to_json() for epoch in epochs]}
    out.with_suffix(f".{ranks.number}.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
