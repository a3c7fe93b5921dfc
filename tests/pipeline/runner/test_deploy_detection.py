"""The whole chain on a small detector of a user's own, from COCO's JSON to the boxes that its bundle prints."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from benchmarks.pairs.paired_processes import PairProtocol
from benchmarks.solo import Profile
from benchmarks.statistics.margins import Effort
from benchmarks.workers.workplace import HERE
from edgewright import Bundle
from exporters import default_runtimes as plain
from exporters.bundle import Contents, read_bundle, write_bundle
from pipeline.artifact import FLOAT_MODEL, ArtifactKind
from pipeline.catalog import target_named
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.environment import this_machine
from pipeline.errors import DataError, UsageError
from pipeline.gate import against_baselines
from pipeline.gate.baselines.shelf import Shelf, case_of
from pipeline.image_input import boxes_in_image
from pipeline.models.files import load_network
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.runner.compare_runtimes import beside_plain_runtimes
from pipeline.runner.deploy import deploy
from pipeline.runner.explain import explain
from pipeline.runner.network_trial import Trial
from pipeline.runner.plan_after_trials import plan_after_trials
from pipeline.runner.preflight import preflight
from pipeline.runner.write_answers_file import write_answers_file
from pipeline.stage import Teacher, TrainedNetwork
from pipeline.stages.baseline import Baseline
from pipeline.store import Store
from pipeline.training.cached_answers import TeacherAnswers

if TYPE_CHECKING:
    from exporters.target import Precision
    from pipeline.chain.plan import Plan
    from pipeline.gate.two_bundles import GateOptions
    from pipeline.runner.publish import Deployed

SIDE = 48
SHORT = Profile(processes=1, iterations=20, min_iterations=20, max_s=1.0, warmup_s=0.0, warmup_limit=20)
NET = """
    from torch import nn
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    class Body(nn.Module):
        out_channels = 32

        def __init__(self):
            super().__init__()
            widths = [3, 16, 32, 32]
            self.layers = nn.Sequential(*(
                nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b, stride in zip(widths, widths[1:], (2, 2, 1))
            ))

        def forward(self, images):
            return {"0": self.layers(images)}

    def net(num_classes):
        anchors = AnchorGenerator(sizes=((16,),), aspect_ratios=((1.0,),))
        return RetinaNet(Body(), num_classes, anchor_generator=anchors, score_thresh=0.05, topk_candidates=100)
"""


def _boxes(root: Path) -> None:
    """Bright squares of two colours on dark ground, one or two an image, and COCO's JSON of them."""
    draw = np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for part, count in (("train", 48), ("val", 16)):
        (root / part).mkdir()
        images, annotations = [], []
        for number in range(count):
            pixels = draw.integers(0, 40, (SIDE, 2 * SIDE, 3)).astype(np.uint8)  # twice as wide as it is fed
            for place in range(1 + number % 2):
                label, top, left = int(draw.integers(2)), int(draw.integers(SIDE - 16)), int(draw.integers(20))
                left += 48 * place
                pixels[top : top + 14, left : left + 28, label] = 230
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "category_id": label, "bbox": [left, top, 28, 14]}
                )
            Image.fromarray(pixels).save(root / part / f"{number:02}.png")
            images.append({"id": number, "file_name": f"{number:02}.png", "width": 2 * SIDE, "height": SIDE})
        categories = [{"id": 0, "name": "red"}, {"id": 1, "name": "green"}]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detection")
    (folder / "net.py").write_text(textwrap.dedent(NET), encoding="utf-8")
    _boxes(folder / "squares")
    return folder


def _recipe(place: Path, **sections: object) -> Recipe:
    return Recipe.model_validate(
        {
            "model": f"{place / 'net.py'}:net",
            "task": "detection",
            "data": {"source": str(place / "squares")},
            "input": {"size": SIDE, "resize": "squash", "mean": 0.5, "std": 0.25},
            "baseline": {"schedule": {"epochs": 12, "batch_size": 8, "learning_rate": 3e-3, "augment": ["flip"]}},
            "prune": {"schedule": {"epochs": 6, "batch_size": 8, "learning_rate": 2e-3}},
            "build": {"budget_s": 0},
            "measure": {"processes": 1, "iterations": 12},
            **sections,
        }
    )


@pytest.fixture(scope="module")
def deployed(place: Path) -> Deployed:
    store = Store(place / "store")
    plan = make_plan(_recipe(place), store, SilentProgress())
    (found,) = deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=place / "out")
    return found


def test_a_detector_goes_through_the_chain_and_learns(deployed: Deployed) -> None:
    report = deployed.report
    statuses = {row.name: row.status for row in report.stages}

    assert deployed.exit_code == 0
    assert statuses == dict.fromkeys(("baseline", "prune", "calibrate", "export", "build"), "ran") | {
        "distill": "skipped"
    }
    assert report.task == "detection"
    assert report.stages[0].accuracy.metric == "AP"
    assert (report.stages[0].accuracy.value or 0) > 0.3
    assert any(note.startswith("AP ") and "AP50" in note for note in report.stages[0].notes)
    assert any("its backbone first learned from" in note for note in report.stages[0].notes)
    assert [one.name for one in report.trainings] == ["net, first lesson", "net", "net, pruned"]
    assert report.shipped_change is not None
    assert report.shipped_change.low <= report.shipped_change.change <= report.shipped_change.high


def test_its_channels_go_and_it_recovers(deployed: Deployed) -> None:
    baseline, pruned = (
        next(row for row in deployed.report.stages if row.name == name) for name in ("baseline", "prune")
    )

    assert (pruned.params or 0) < 0.4 * (baseline.params or 0)
    assert (pruned.accuracy.value or 0) > 0.2
    (told,) = (note for note in pruned.notes if "before recovery" in note)
    before, after = re.findall(r"([\d.]+) % (?:AP|after)", told)
    assert float(before) < float(after)


@pytest.mark.slow
def test_pixels_and_channels_go_for_a_goal(deployed: Deployed, place: Path) -> None:
    """The baseline comes from the store; sizes and channels are weighed by short recoveries."""
    store = Store(place / "store")
    schedule = {"epochs": 6, "batch_size": 8, "learning_rate": 2e-3}
    recipe = _recipe(place, goal={"macs": "0.4x"}, downsample={"size": "auto", "schedule": schedule})
    (found,) = deploy(
        Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None), out=place / "goal"
    )
    goal = found.report.goal

    assert found.report.stages[0].artifact_sha256 == deployed.report.stages[0].artifact_sha256
    assert goal is not None
    assert goal.met
    assert any(one.label.startswith("smaller input, ") for one in found.report.choices[-2].tried)
    last = found.report.stages[-1]
    assert (last.macs or 0) <= 0.4 * 1.02 * (found.report.stages[0].macs or 0)
    assert (last.accuracy.value or 0) > 0.1


@pytest.mark.slow
def test_a_smaller_input_is_learned(place: Path) -> None:
    store = Store(place / "store")
    schedule = {"epochs": 6, "batch_size": 8, "learning_rate": 2e-3}
    recipe = _recipe(place, skip=["prune"], downsample={"size": 40, "schedule": schedule})
    (found,) = deploy(
        Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None), out=place / "small"
    )
    row = found.report.stage("downsample")

    assert row is not None
    assert row.status == "ran"
    assert row.notes[0] == "input 48x48 -> 40x40"
    assert (row.accuracy.value or 0) > 0.2
    assert json.loads((found.folder / "bundle" / "preprocess.json").read_text())["size"] == [40, 40]


def test_the_bundle_says_what_the_pipeline_says(deployed: Deployed, place: Path) -> None:
    """The runner's boxes are those of the Python interface, to the bit."""
    image = place / "squares" / "val" / "01.png"
    command = [sys.executable, str(deployed.folder / "bundle" / "run.py"), str(image), "--json", "--score", "0.05"]
    printed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["boxes"]
    with Bundle.open(deployed.folder / "bundle") as bundle:
        found = bundle.detect(image, score=0.05)
        with pytest.raises(UsageError, match="this bundle is for detection"):
            bundle.run(image)

    assert printed
    assert [(one.label, one.score, list(one.box)) for one in found] == [
        (one["class"], one["score"], one["box"]) for one in printed
    ]


def test_the_report_shows_test_images_with_what_is_on_them(deployed: Deployed) -> None:
    examples = deployed.report.examples
    page = (deployed.folder / "report.html").read_text(encoding="utf-8")

    assert len(examples) == 6
    assert len({one.image for one in examples}) == 6
    assert all(one.size == (2 * SIDE, SIDE) and one.truth for one in examples)
    assert all(mark.score is None for one in examples for mark in one.truth)
    assert {mark.label for one in examples for mark in one.truth} == {"red", "green"}
    assert page.count("data:image/jpeg;base64,") == 6
    with Image.open(io.BytesIO(base64.b64decode(examples[0].picture))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (2 * SIDE, SIDE))


def _asked(deployed: Deployed, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(deployed.folder / "bundle" / "run.py"), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_runner_draws_what_it_found(deployed: Deployed, place: Path, tmp_path: Path) -> None:
    image, out = place / "squares" / "val" / "01.png", tmp_path / "out.png"
    done = _asked(deployed, image, "--threshold", "0.05", "--draw", out)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == _asked(deployed, image, "--score", "0.05").stdout
    with Image.open(image) as before, Image.open(out) as after:
        assert (after.format, after.size) == ("PNG", before.size)
        assert (np.asarray(before) != np.asarray(after)).any()


def test_how_far_boxes_may_overlap_can_be_said(deployed: Deployed, place: Path) -> None:
    image = place / "squares" / "val" / "01.png"
    few, own, all_of_them = (
        len(_asked(deployed, image, "--score", "0.05", *said).stdout.splitlines())
        for said in (("--iou", "0"), (), ("--iou", "1"))
    )

    assert few <= own < all_of_them


def test_the_runner_draws_a_folder_one_picture_an_image(deployed: Deployed, place: Path, tmp_path: Path) -> None:
    done = _asked(deployed, place / "squares" / "val", "--json", "--draw", tmp_path / "out")

    assert (done.returncode, done.stderr) == (0, "")
    asked = [json.loads(line)["image"] for line in done.stdout.splitlines()]
    assert [Path(one).name for one in asked] == [f"{number:02}.png" for number in range(16)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [Path(one).name for one in asked]


@pytest.mark.parametrize(
    ("place_of_picture", "message"),
    [("out.txt", "error: --draw: .*out.txt should end in one of .png"), ("itself", "it would replace the image")],
)
def test_a_place_for_no_picture_is_refused(
    deployed: Deployed, place: Path, tmp_path: Path, place_of_picture: str, message: str
) -> None:
    image = place / "squares" / "val" / "01.png"
    before = image.read_bytes()
    done = _asked(deployed, image, "--draw", image if place_of_picture == "itself" else tmp_path / place_of_picture)

    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert image.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_the_bundle_s_boxes_are_those_of_the_network(deployed: Deployed, place: Path) -> None:
    import torch

    store = Store(place / "store")
    plan = make_plan(_recipe(place), store, SilentProgress())
    sha256 = next(row.artifact_sha256 for row in deployed.report.stages if row.name == "prune")
    assert sha256 is not None
    artifact = store.find(sha256)
    assert artifact is not None
    network = load_network(artifact.root, plan.parts.model)
    spec = plan.parts.preprocess
    image = place / "squares" / "val" / "01.png"
    with torch.no_grad():
        ((boxes, scores, labels),) = plan.parts.task.outputs_of(network, torch.from_numpy(spec.load(str(image)))[None])
    placed = boxes_in_image(boxes, (2 * SIDE, SIDE), spec.model_dump(mode="json"))
    with Bundle.open(deployed.folder / "bundle") as bundle:
        found = bundle.detect(image, score=0.0)

    exact = deployed.report.verdict.precision == "float"
    # Rounded, the likeliest of this hardly trained network come to the very same score: any of them may stand first.
    index = int(labels[0]) - 1
    equal = [one for one in found if one.index == index and one.score >= found[0].score - 0.1]
    first = found[:1] if exact else equal
    best = min(first, key=lambda one: np.abs(np.array(one.box) - placed[0]).max())
    assert best.index == index
    np.testing.assert_allclose(best.box, placed[0], atol=0.5 if exact else 8)
    assert best.score == pytest.approx(float(scores[0]), abs=1e-3 if exact else 0.2)


def test_its_bundle_is_intact_and_its_stages_are_explained(deployed: Deployed, place: Path) -> None:
    store = Store(place / "store")
    explained = explain(make_plan(_recipe(place), store, SilentProgress()), store)
    command = [sys.executable, str(deployed.folder / "bundle" / "verify.py")]
    verified = subprocess.run(command, check=False, capture_output=True, text=True)

    assert {one.status for one in explained} == {"cached", "skipped"}
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.slow
def test_whatever_is_done_with_bundles_is_done_with_a_detector_s(
    deployed: Deployed, place: Path, tmp_path: Path, cheap: GateOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is measured and accepted as a baseline, and held against it."""
    images = make_plan(_recipe(place), Store(place / "store"), SilentProgress()).parts.dataset
    bundle = read_bundle(deployed.folder / "bundle")
    monkeypatch.setattr(against_baselines, "QUICK", SHORT)
    shelf = Shelf(tmp_path / "baselines").of(HERE)
    case, line = against_baselines.accept(shelf, bundle, images, SilentProgress(), reason="a test")
    judged = against_baselines.judge(shelf, bundle, images, cheap, SilentProgress())

    assert (case_of(bundle), line.bundle) == (case, bundle.sha256)
    assert line.figures.accuracy == pytest.approx(deployed.report.stages[-1].accuracy.value, abs=1e-6)
    assert {row.name: row.change for row in judged.comparison.metrics}["accuracy"] == 0.0


@pytest.mark.slow
def test_it_is_held_against_the_plain_runtimes(deployed: Deployed, place: Path) -> None:
    """What the run made comes from its store; PyTorch runs the network that both precisions were made of."""
    store = Store(place / "store")
    chain = Chain(make_plan(_recipe(place), store, SilentProgress()), store, SilentProgress(), lambda _: None)
    few = Effort(processes=2, looks=1, alpha=0.05, memory_processes=1)
    protocol = PairProtocol(min_pairs=16, max_pairs=16, target_s=0.01, warmup_s=0.0, warmup_limit=40)
    found = list(beside_plain_runtimes(chain, effort=few, protocol=protocol))

    assert deployed.exit_code == 0
    assert [one.precision for one in found if one.runtime == plain.PYTORCH] == ["float"]
    assert {one.precision for one in found if one.runtime == plain.ONNXRUNTIME} == {"float", "int8"}
    assert all((one.p50.baseline or 0) > 0 and (one.p50.candidate or 0) > 0 for one in found)


@pytest.mark.slow
def test_a_yolo_goes_through_the_chain_and_its_bundle_prints_boxes(place: Path) -> None:
    recipe = _recipe(
        place,
        model="yolo/x-nano",
        input={"size": 64},
        baseline={"schedule": {"epochs": 20, "batch_size": 8, "learning_rate": 3e-3, "augment": []}},
    )
    store = Store(place / "store")
    plan = make_plan(recipe, store, SilentProgress())
    (made,) = deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=place / "yolo")
    image = place / "squares" / "val" / "01.png"
    command = [sys.executable, str(made.folder / "bundle" / "run.py"), str(image), "--json", "--score", "0.05"]
    printed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["boxes"]

    assert made.exit_code == 0
    assert (made.report.stages[0].accuracy.value or 0) > 0.3
    assert {one["class"] for one in printed} <= {"red", "green"}
    assert printed[0]["score"] > 0.3


RAW = re.search(
    r"^## Raw outputs$.*?^```python\n(.*?)^```$",
    (Path(__file__).parents[3] / "docs" / "detection.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


def _raw(place: Path, *, loss: bool) -> str:
    """The network of the documentation that gives raw outputs, with or without its loss."""
    assert RAW is not None
    file = place / f"raw_{loss}.py"
    file.write_text(RAW[1] if loss else RAW[1].replace("def loss(", "def unused("), encoding="utf-8")
    return f"{file}:net"


def _tried(recipe: Recipe, store: Store) -> Plan:
    return preflight(Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)).plan


OWN = (
    NET.replace("return RetinaNet(", "return Own(")
    + """
    class Own(RetinaNet):
        def forward(self, images, targets=None):
            found = super().forward(images, targets)
            return found if self.training else [{**one, "boxes": one["boxes"] / 2} for one in found]
"""
)


def test_a_class_that_answers_by_a_method_of_its_own_is_not_deployed_unnoticed(
    place: Path, store: Store, tmp_path: Path
) -> None:
    """It is doubted before it is trained, and refused with weights; as a teacher it is asked itself."""
    import torch
    from safetensors.torch import save_file

    from pipeline.models.build import build_network

    (file := tmp_path / "own.py").write_text(textwrap.dedent(OWN), encoding="utf-8")
    model = f"{file}:net"
    notes = _tried(_recipe(place, model=model), store).notes
    assert any(note.startswith("net: its own forward will not be deployed") for note in notes)

    network = build_network(make_plan(_recipe(place, model=model), store, SilentProgress()).parts.model, classes=2)
    torch.nn.init.zeros_(network.get_parameter("head.classification_head.cls_logits.bias"))  # sure of half of it all
    save_file(network.state_dict(), weights := tmp_path / "own.safetensors")
    with pytest.raises(UsageError, match="by methods of its own would not be deployed") as raised:
        _tried(_recipe(place, model=model, weights=str(weights)), store)
    assert raised.value.where == "Own"
    _tried(_recipe(place, distill={"teachers": [f"{model}@{weights}"], "losses": {"boxes": 1}}), store)


def test_raw_outputs_with_a_loss_are_pruned(place: Path, store: Store) -> None:
    plan = _tried(_recipe(place, model=_raw(place, loss=True)), store)

    assert set(plan.skipped) == {"distill"}


def test_raw_outputs_without_a_loss_stay_as_they_came(place: Path, store: Store, tmp_path: Path) -> None:
    """They need weights; nothing of what is tried for that is trained, and a later run asks the store."""
    from safetensors.torch import save_file

    from pipeline.models.build import build_network

    model = _raw(place, loss=False)
    with pytest.raises(UsageError, match="there are no weights for this network, and it cannot be trained"):
        _tried(_recipe(place, model=model), store)
    source = make_plan(_recipe(place, model=model), store, SilentProgress()).parts.model
    save_file(build_network(source, classes=2).state_dict(), weights := tmp_path / "w.safetensors")
    given = {"model": model, "weights": str(weights)}
    plans = [_tried(_recipe(place, **given), store) for _ in range(2)]

    for plan in plans:
        assert "no loss(outputs, targets) stands where its decode does" in plan.skipped["prune"]
        assert [stage.name for stage in plan.network_stages()] == ["baseline", "calibrate"]


@pytest.mark.parametrize(
    ("asked", "where", "value"),
    [
        ({"downsample": {"size": 32}}, "downsample.size", "32"),
        ({"downsample": {"size": "auto"}, "goal": {"latency": "0.5x"}}, "downsample.size", "auto"),
        ({"downsample": {"stem": "earlier"}}, "downsample.stem", "earlier"),
        ({"goal": {"require": ["prune"]}}, "goal.require", "prune"),
        ({"distill": {"teachers": ["ssdlite320_mobilenet_v3_large@none"]}}, "distill.teachers", "ssdlite320_mobilenet"),
    ],
)
def test_what_would_train_a_network_without_a_loss_is_told_by_its_key(
    place: Path, store: Store, asked: dict[str, object], where: str, value: str
) -> None:
    plan = make_plan(_recipe(place, **_given(place), **asked), store, SilentProgress())
    with pytest.raises(UsageError, match="cannot be trained") as raised:
        plan_after_trials(plan, [Trial(untrained="no loss"), *(Trial() for _ in plan.teachers)])

    assert raised.value.where == where
    assert str(raised.value.got).startswith(value)


def test_a_smaller_input_that_only_a_goal_opens_is_left_out_where_nothing_is_trained(place: Path, store: Store) -> None:
    fed = {"resize": "squash", "mean": 0.5, "std": 0.25}
    recipe = _recipe(place, **_given(place), input=fed, goal={"latency": "0.5x"})
    plan = make_plan(recipe, store, SilentProgress())
    found = plan_after_trials(plan, [Trial(untrained="no loss")])
    again = plan_after_trials(make_plan(found.recipe, store, SilentProgress()), [Trial(untrained="no loss")])

    assert plan.size_is_open
    assert "downsample" in found.skipped
    assert found.recipe.downsample.size is None
    assert "downsample" in again.skipped


def _given(place: Path) -> dict[str, object]:
    """A network that comes with weights, which no test reads."""
    (file := place / "given.pth").write_bytes(b"no weights")
    return {"weights": str(file)}


@pytest.mark.slow
def test_raw_outputs_go_through_the_chain_and_their_bundle_prints_boxes(place: Path) -> None:
    store = Store(place / "store")
    recipe = _recipe(
        place,
        model=_raw(place, loss=True),
        baseline={"schedule": {"epochs": 20, "batch_size": 8, "learning_rate": 3e-3, "augment": []}},
    )
    plan = make_plan(recipe, store, SilentProgress())
    (made,) = deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=place / "raw")
    image = place / "squares" / "val" / "01.png"
    command = [sys.executable, str(made.folder / "bundle" / "run.py"), str(image), "--json", "--score", "0.05"]
    printed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["boxes"]

    assert made.exit_code == 0
    assert (made.report.stages[0].accuracy.value or 0) > 0.3
    assert next(row for row in made.report.stages if row.name == "prune").status == "ran"
    assert {one["class"] for one in printed} <= {"red", "green"}
    assert printed[0]["score"] > 0.3


@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("name", [name for name in ("ort-cpu", "openvino") if target_named(name).missing() is None])
def test_suppressed_in_the_graph_the_boxes_are_the_same(
    deployed: Deployed, place: Path, tmp_path: Path, name: str, precision: Precision
) -> None:
    store = Store(place / "store")
    plan = make_plan(_recipe(place, build={"nms": "graph"}), store, SilentProgress())
    onnx = store.find(next(row.artifact_sha256 or "" for row in deployed.report.stages if row.name == "export"))
    assert onnx is not None
    target = target_named(name)
    rounded = next(entry.path for entry in onnx.files if entry.path != FLOAT_MODEL)
    source = FLOAT_MODEL if precision == "float" else rounded
    chain = Chain(plan, store, SilentProgress(), lambda _: None)
    within = plan.build_stage(target, source=source, precision=precision)
    usual = within.model_copy(update={"suppression": None})
    built = [chain.execute(stage, {ArtifactKind.ONNX: onnx}).artifact for stage in (usual, within)]
    manifests = []
    for number, engine in enumerate(built):
        contents = Contents(
            model="net.py:net",
            task="detection",
            preprocess=plan.parts.preprocess,
            classes=plan.parts.dataset.classes,
            provenance={},
            answers=asdict(plan.parts.task.post),
        )
        manifests.append(write_bundle(engine, target, this_machine(), contents, tmp_path / str(number)).manifest)
    found = []
    for number in (0, 1):
        with Bundle.open(tmp_path / str(number)) as bundle:
            found.append([bundle.detect(sample.path, score=0.05) for sample in plan.parts.dataset.test])

    assert [manifest.get("nms") for manifest in manifests] == [None, "graph"]
    assert manifests[1]["engine"]["outputs"][0]["shape"] == [1, 100, 4]
    assert "The model suppresses overlapping boxes itself" in (tmp_path / "1" / "README.md").read_text(encoding="utf-8")
    assert sum(map(len, found[0])) > 16
    assert found[0] == found[1]


def test_a_classifier_is_no_teacher_of_a_detector(place: Path, store: Store) -> None:
    with pytest.raises(UsageError, match="resnet18 is no network for detection"):
        make_plan(_recipe(place, distill={"teachers": ["resnet18"]}), store, SilentProgress())


def test_a_detector_cannot_learn_by_what_only_classifiers_have(place: Path, store: Store) -> None:
    teaching = {"teachers": [f"{place / 'net.py'}:net"], "losses": {"kd": 1.0}}
    with pytest.raises(UsageError, match="networks for detection cannot learn by 'kd'"):
        make_plan(_recipe(place, distill=teaching), store, SilentProgress())


def test_untaught_and_taught_detectors_are_trained_alike(place: Path, store: Store) -> None:
    teaching = {"teachers": [f"{place / 'net.py'}:net"], "schedule": {"epochs": 3, "augment": ["flip"]}}
    plan = make_plan(_recipe(place, distill=teaching, baseline={}), store, SilentProgress())
    schedule = plan.recipe.distill.schedule

    assert plan.recipe.baseline.schedule == schedule.model_copy(update={"views": 3})  # nobody is asked about a view
    assert (schedule.epochs, schedule.batch_size, schedule.augment) == (3, 16, ("flip",))
    assert plan.recipe.distill.losses == plan.parts.task.teaching["losses"]


def _trained(deployed: Deployed, place: Path) -> tuple[Store, Path]:
    """The store of the run, and the weights that its baseline has there."""
    store = Store(place / "store")
    sha256 = deployed.report.stages[0].artifact_sha256
    assert sha256 is not None
    trained = store.find(sha256)
    assert trained is not None
    return store, trained.root / "weights.safetensors"


def test_a_teacher_is_asked_once_and_its_student_learns_from_it(deployed: Deployed, place: Path) -> None:
    """The chain's own baseline teaches; its weights are given, so that nothing but the student is trained."""
    import torch

    store, weights = _trained(deployed, place)
    teachers = [f"{place / 'net.py'}:net@{weights}"]
    short = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "augment": ["flip"]}
    losses = {"pkd": 6.0, "scores": 1.0, "iou": 4.0}  # pyramids, and heads of one make
    distill = {"teachers": teachers, "schedule": short, "losses": losses}
    plan = make_plan(_recipe(place, distill=distill), store, SilentProgress())
    chain = preflight(Chain(plan, store, SilentProgress(), lambda _: None))
    (parts,) = chain.plan.teachers
    network = chain.about(parts).execute(chain.plan.recipe.baseline, {}).artifact
    question = chain.plan.question(chain.plan.recipe.distill)
    later = replace(chain, fresh=set())  # another run
    asked = [one.about(parts).execute(question, {ArtifactKind.NETWORK: network}) for one in (chain, later)]
    teacher = Teacher(
        name="net", answers=asked[0].artifact, network=TrainedNetwork(source=parts.model, artifact=network)
    )
    taught = chain.execute(chain.plan.recipe.distill, {}, (teacher,))
    untaught = chain.execute(Baseline(schedule=chain.plan.recipe.distill.seen), {})

    assert [one.status for one in asked] == ["ran", "cached"]
    assert any("teacher net: the network's own transform, which is left out" in doubt for doubt in chain.plan.doubts)
    assert asked[0].artifact.facts["answers"] == {"score": 0.05, "iou": 0.5, "most": 300}
    assert taught.notes[-1] == "learned from net"
    assert "its backbone first learned from" in taught.notes[0]
    assert taught.notes[0] in untaught.notes  # the same lesson first
    first, second = (load_network(one.artifact.root, plan.parts.model).state_dict() for one in (taught, untaught))
    assert all(bool(tensor.isfinite().all()) for tensor in first.values())
    assert not torch.equal(first["backbone.layers.0.0.weight"], second["backbone.layers.0.0.weight"])


def test_what_a_detector_says_leaves_the_house_without_it(deployed: Deployed, place: Path) -> None:
    """Its boxes in a file teach whoever has the same images; nothing is asked of its network."""
    store, weights = _trained(deployed, place)
    own = Chain(
        make_plan(_recipe(place, weights=str(weights)), store, SilentProgress()), store, SilentProgress(), print
    )
    count = write_answers_file(own, place / "theirs.safetensors")
    plan = make_plan(_recipe(place, distill={"teachers": [str(place / "theirs.safetensors")]}), store, SilentProgress())
    (taken,) = plan.answer_files
    said = Chain(plan, store, SilentProgress(), print).execute(taken, {}).artifact
    kept = TeacherAnswers.load(said.root)

    assert count == 48
    assert plan.recipe.distill.losses == {"boxes": 1.0}
    assert len(kept.kept["scores"]) == len(plan.parts.dataset.train)
    assert float(kept.kept["scores"].max()) > 0.5


@pytest.mark.slow
def test_a_small_detector_learns_from_two_larger_ones(place: Path) -> None:
    """The report has every teacher, the ensemble, both students, and what is said of them; then all is found again."""
    (place / "wide.py").write_text(textwrap.dedent(NET).replace("[3, 16, 32, 32]", "[3, 32, 64, 64]").replace(
        "out_channels = 32", "out_channels = 64"), encoding="utf-8")  # fmt: skip
    (place / "other.py").write_text(textwrap.dedent(NET).replace("sizes=((16,),)", "sizes=((20,),)"), encoding="utf-8")
    (place / "small.py").write_text(textwrap.dedent(NET).replace("[3, 16, 32, 32]", "[3, 8, 16, 16]").replace(
        "out_channels = 32", "out_channels = 16"), encoding="utf-8")  # fmt: skip
    schedule = {"epochs": 12, "batch_size": 8, "learning_rate": 3e-3, "augment": ["flip"]}
    teachers = [f"{place / name}.py:net" for name in ("wide", "other")]
    recipe = _recipe(
        place,
        model=f"{place / 'small.py'}:net",
        baseline={},
        distill={
            "teachers": teachers,
            "schedule": schedule,
            "teacher_schedule": schedule,
            "losses": {"pkd": 6.0, "boxes": 1.0},
        },
    )
    store = Store(place / "taught")
    rows = []
    for _ in range(2):
        plan = make_plan(recipe, store, SilentProgress())
        (found,) = deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=place / "taught-out")
        rows.append({row.name: row for row in found.report.stages})
    report = found.report

    assert rows[0]["distill"].status == "ran"
    assert rows[1]["distill"].status == "cached"
    assert rows[1]["distill"].accuracy == rows[0]["distill"].accuracy
    assert (rows[0]["distill"].accuracy.value or 0) > 0.2
    assert [one.accuracy > 0.2 for one in report.teachers] == [True, True]
    assert report.ensemble is not None
    assert report.ensemble.members == 2
    assert report.ensemble.accuracy > 0.2
    assert 0 < report.ensemble.p_value <= 1
    assert report.ensemble.size_bytes > max(one.size_bytes for one in report.teachers)
    assert report.taught_change is not None
    assert report.taught_change.low <= report.taught_change.change <= report.taught_change.high


@pytest.mark.parametrize("stage", ["baseline", "prune"])
def test_views_that_boxes_cannot_follow_are_refused(place: Path, store: Store, stage: str) -> None:
    with pytest.raises(UsageError, match="mixup changes images so that their labels cannot follow") as raised:
        make_plan(_recipe(place, **{stage: {"schedule": {"augment": ["mixup"]}}}), store, SilentProgress())
    assert raised.value.where == f"{stage}.schedule.augment"


@pytest.mark.parametrize(("key", "value"), [("teachers", "all"), ("losses", {"features": 1.0}), ("weight", 0.5)])
def test_a_recovery_s_teachers_are_refused(place: Path, store: Store, key: str, value: object) -> None:
    with pytest.raises(UsageError, match="a network for detection recovers by its own loss") as raised:
        make_plan(_recipe(place, prune={key: value}), store, SilentProgress())
    assert raised.value.where == f"prune.{key}"


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ({"size": 40, "mixed_sizes": 0.5}, "is tuned to one size"),
        ({"stem": "doubled"}, "says places by maps of certain sizes"),
    ],
)
def test_what_places_of_boxes_cannot_follow_is_refused(
    place: Path, store: Store, section: dict[str, object], match: str
) -> None:
    with pytest.raises(UsageError, match=match) as raised:
        make_plan(_recipe(place, downsample=section), store, SilentProgress())
    assert raised.value.where == f"downsample.{list(section)[-1]}"


def test_a_recovery_is_scheduled_as_the_task_s_trainings(place: Path, store: Store) -> None:
    plan = make_plan(_recipe(place, prune={"ratio": 0.3}), store, SilentProgress())
    schedule = plan.recipe.prune.schedule
    assert (schedule.epochs, schedule.batch_size, schedule.augment) == (8, 16, ())


def _planned(place: Path, store: Store, model: str, **baseline: object) -> Baseline:
    data = {"source": str(place / "squares")}
    recipe = Recipe.model_validate({"model": model, "weights": "none", "data": data, "baseline": baseline})
    return make_plan(recipe, store, SilentProgress()).recipe.baseline


def test_families_have_schedules_of_their_own_and_what_is_said_goes_over_them(place: Path, store: Store) -> None:
    faster = _planned(place, store, "fasterrcnn_mobilenet_v3_large_320_fpn", schedule={"learning_rate": 3e-4})
    single = _planned(place, store, "ssdlite320_mobilenet_v3_large", objects_schedule={"epochs": 2})

    for found, wanted in (
        (faster.schedule, (3, 8, 3e-4, ())),
        (single.schedule, (8, 16, 2e-3, ())),
        (faster.objects_schedule, (5, 64, 2e-3, ("shift", "scale"))),
        (single.objects_schedule, (2, 64, 2e-3, ("shift", "scale"))),
    ):
        assert found is not None
        assert (found.epochs, found.batch_size, found.learning_rate, found.augment) == wanted


def test_views_that_boxes_can_follow_are_taken(place: Path, store: Store) -> None:
    asked = ["flip", "shift", "scale", "affine", "mosaic", "colour", "erase"]
    plan = make_plan(_recipe(place, baseline={"schedule": {"augment": asked}}), store, SilentProgress())

    assert plan.recipe.baseline.schedule is not None
    assert list(plan.recipe.baseline.schedule.augment) == asked


@pytest.mark.parametrize("key", ["distill.schedule", "distill.teacher_schedule", "prune.schedule", "baseline.schedule"])
def test_a_classifier_s_images_are_not_put_together_of_several(place: Path, key: str) -> None:
    stage, name = key.split(".")
    recipe = Recipe.model_validate({"model": "resnet18", "weights": "none", stage: {name: {"augment": ["mosaic"]}}})

    with pytest.raises(UsageError, match="mosaic changes images so that their labels cannot follow") as raised:
        make_plan(recipe, Store(place / "store"), SilentProgress())  # where the digits are written once
    assert raised.value.where == f"{key}.augment"


def test_a_network_of_one_s_own_is_told_how_to_say_that_it_detects(place: Path, store: Store) -> None:
    data = {"source": str(place / "squares")}
    for model, fix in ((f"{place / 'net.py'}:net", "add --set task=detection"), ("resnet18", "")):
        recipe = Recipe.model_validate({"model": model, "weights": "none", "data": data})
        with pytest.raises(DataError, match="the model is for classification, the data is for detection") as raised:
            make_plan(recipe, store, SilentProgress())
        assert (raised.value.fix or "").startswith(fix)
        assert bool(raised.value.fix) == bool(fix)


@pytest.mark.parametrize("inner", ["train/cat", "images", "Annotations/more"])
def test_a_folder_without_annotations_is_told_where_they_are_looked_for(
    tmp_path: Path, place: Path, store: Store, inner: str
) -> None:
    (tmp_path / inner).mkdir(parents=True)
    with pytest.raises(DataError, match="no annotations of boxes are found in this folder") as raised:
        make_plan(_recipe(place, data={"source": str(tmp_path)}), store, SilentProgress())
    for name in ("COCO's JSON", "YOLO's texts", "Pascal VOC's XML"):
        assert name in (raised.value.expected or "")


def test_a_classifier_s_data_is_refused(place: Path, store: Store) -> None:
    with pytest.raises(UsageError, match="the model is for detection, the data is for classification"):
        make_plan(_recipe(place, data={"source": "digits"}), store, SilentProgress())
