"""Defects that the checks must see.

Those of a sound run's bundle the gate has to see, those of its float graph the comparison with PyTorch, and those of a
detector's candidates the comparison of forms.

The job's classes differ in colour, place and light, in steps so small that what is wrong with channels, places or
scales shows. Where more than two in forty pass, each of them is a failure; else they are listed with their effect.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.reliability.defects.boxes import BOXES, write_candidates
from benchmarks.reliability.defects.feeding import FEEDING
from benchmarks.reliability.defects.lowered import LOWERED
from benchmarks.reliability.defects.quantised import QUANTISED
from benchmarks.reliability.killed_publishing import evenly
from benchmarks.reliability.outcome import Outcome, timed
from benchmarks.reliability.sealed import seal
from benchmarks.reliability.tiny_job import TinyJob, write_images

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.defects.defect import Defect

__all__ = ["DEFECTS", "seeded_defects"]

DEFECTS = (*FEEDING, *QUANTISED, *LOWERED, *BOXES)
_LEAST_SEEN = 38 / 40

_NETWORK = """\
from torch import nn


def telling(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, num_classes),
    )
"""
_RECIPE = """\
model: telling.py:telling
data: {source: telling}
input: {size: 16, resize: squash, mean: 0.5, std: 0.25}
baseline: {schedule: {epochs: 14, batch_size: 16, augment: []}}
skip: [distill, prune]
build: {precision: int8, budget_s: 0}
measure: {processes: 1, iterations: 12}
"""
_JUDGE = """
import json, sys
from pathlib import Path

import numpy as np
import onnx

from exporters.bundle import read_bundle
from pipeline.data.dataset import read_images
from pipeline.data.open import open_dataset
from pipeline.errors import EdgewrightError
from pipeline.gate.two_bundles import GateOptions, judge_answers
from pipeline.lowering.lower import PARITY_LIMIT
from pipeline.lowering.parity import TorchReference, compare, probe_inputs
from pipeline.models.files import load_network
from pipeline.models.resolve import resolve_model
from pipeline.progress import SilentProgress
from pipeline.report.comparison import Verdict
from pipeline.store import default_root
from pipeline.tasks.detection.detection import Detection

asked, progress = json.load(sys.stdin), SilentProgress()
images = open_dataset("telling", cache=default_root() / "data", progress=progress)
sound = read_bundle(Path(asked["bundle"]))
network = load_network(Path(asked["network"]), resolve_model("telling.py:telling")).eval()
probes = probe_inputs(list(read_images(images.calibration[:8], sound.preprocess)), sound.preprocess.shape)

def by_gate(folder):
    rows = judge_answers(sound, read_bundle(Path(folder)), images, GateOptions(), progress)
    told = ", ".join(f"{row.name} {100 * row.candidate:.1f} % ({100 * row.baseline:.1f} %)" for row in rows)
    return any(row.gating and row.verdict is Verdict.REGRESSED for row in rows), told

def by_parity(folder):
    found = compare(onnx.load(Path(folder, "float.onnx")), TorchReference(network), probes, limit=PARITY_LIMIT)
    return found.relative_error > PARITY_LIMIT, found.difference

def by_candidates(folder):
    with np.load(Path(folder, "candidates.npz")) as read:
        wanted, found = ([read[f"{form}_{number}"] for number in range(3)] for form in ("wanted", "found"))
    differ = Detection().difference(wanted, found)
    return differ > PARITY_LIMIT, f"differs by {differ:.2g}"

checks = {"float.onnx": by_parity, "candidates.npz": by_candidates, "manifest.json": by_gate}
ends = []
for folder in asked["folders"]:
    try:
        ends.append(next(check for file, check in checks.items() if Path(folder, file).exists())(folder))
    except EdgewrightError as error:
        ends.append((True, error.what))
print(json.dumps(ends))
"""


def seeded_defects(campaign: Campaign, tries: int) -> Outcome:
    """Make each defect in a copy and ask the check that has to see it; the sound one must pass both."""
    with timed(
        "A defect of feeding, classes, INT8 form, export or boxes is seen by the gate or the comparison of forms",
        campaign.shown,
    ) as outcome:
        job = _write_job(campaign.job)
        cache, out = job.folder / "telling-store", job.folder / "telling-out"
        done = job.ended(job.deploy(cache, out, recipe="telling.yaml"))
        if done.code:
            raise ValueError(f"the sound run ended with {done.code}: {done.err.strip()[-300:]}")
        chosen = evenly(DEFECTS, tries)
        folders = [_seeded(job, cache, out, defect) for defect in chosen]
        alike = job.folder / "alike"
        alike.mkdir()
        write_candidates(alike)
        sound = [out / "bundle", _artifact(cache, "float.onnx"), alike]
        ends = _judged(job, cache, out, [*sound, *folders])
        for (seen, told), folder in zip(ends, sound, strict=False):
            if seen:
                outcome.failures.append(f"the sound {folder.name} was refused: {told}")
        of_defects = zip(chosen, ends[len(sound) :], strict=True)
        passed = [f"{defect.name}: {told}" for defect, (seen, told) in of_defects if not seen]
        outcome.tries = len(chosen)
        outcome.notes += [f"passed, {one}" for one in passed]
        if len(passed) > (1 - _LEAST_SEEN) * len(chosen):
            outcome.failures += [f"not seen: {one}" for one in passed]
    return outcome


def _write_job(job: TinyJob) -> TinyJob:
    (job.folder / "telling.py").write_text(_NETWORK, encoding="utf-8")
    (job.folder / "telling.yaml").write_text(_RECIPE, encoding="utf-8")
    generator = np.random.default_rng(0)

    def picture(name: str) -> np.ndarray[Any, Any]:
        """24 x 20 pixels of noise with an upright bar in one colour, at one of four places, of one of four lights."""
        colour, place, light = name.split("-")
        pixels = generator.integers(0, 60, (20, 24, 3))
        bar = slice(6 * int(place), 6 * int(place) + 6)
        pixels[:, bar, 0 if colour == "red" else 2] += 90 + 16 * int(light)
        return pixels

    names = [f"{colour}-{place}-{light}" for colour in ("blue", "red") for place in range(4) for light in range(4)]
    write_images(job.folder / "telling", names, picture, train=30, val=10)
    return job


def _artifact(cache: Path, file: str) -> Path:
    """The artifact of the sound run that holds a file of that name and no other form of it."""
    found = [path.parent for path in sorted((cache / "artifacts").glob(f"*/{file}")) if not _holds_int8(path.parent)]
    return found[0]


def _holds_int8(folder: Path) -> bool:
    return any(path.name.startswith("qdq-") for path in folder.iterdir())


def _seeded(job: TinyJob, cache: Path, out: Path, defect: Defect) -> Path:
    folder = job.folder / "defects" / f"{DEFECTS.index(defect)}"
    if defect in BOXES:
        folder.mkdir(parents=True)
        write_candidates(folder)
        defect.make(folder)
    elif defect in LOWERED:
        folder.mkdir(parents=True)
        shutil.copyfile(_artifact(cache, "float.onnx") / "float.onnx", folder / "float.onnx")
        defect.make(folder)
    else:
        shutil.copytree(out / "bundle", folder)
        defect.make(folder)
        seal(folder)
    return folder


def _judged(job: TinyJob, cache: Path, out: Path, folders: list[Path]) -> list[tuple[bool, str]]:
    """Of each folder whether it was refused, and what was said."""
    asked = {
        "bundle": str(out / "bundle"),
        "network": str(_artifact(cache, "weights.safetensors")),
        "folders": [str(folder) for folder in folders],
    }
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-P", "-c", _JUDGE],
        input=json.dumps(asked),
        cwd=job.folder,
        env=job.environment(cache),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"the defects could not be judged: {done.stderr.strip()[-600:]}")
    ends: list[tuple[bool, str]] = json.loads(done.stdout)
    return ends
