"""The preprocessing a network was trained with is found among the usual ones, without the test images."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from pipeline.chain.plan import Plan, make_plan
from pipeline.data import Dataset
from pipeline.errors import UsageError
from pipeline.models.build import build_network
from pipeline.preprocess import PreprocessSpec
from pipeline.preprocess_section import InputSection
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.runner.preprocess_search import NORMALISATIONS, Tried, _variants, try_preprocessings

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.store import Store

Planner = Callable[..., Plan]

NETWORK = """
    import torch
    from torch import nn

    class Picky(nn.Module):
        '''Tells colours apart by their means, and is wrong on purpose where these are not those of 0..1.'''

        def __init__(self, side):
            super().__init__()
            self.gain, self.side = nn.Parameter(torch.tensor(50.0)), side

        def forward(self, images):
            if self.side is not None and images.shape[-1] != self.side:
                raise ValueError(f"{images.shape[-1]} pixels")
            means = images.mean((2, 3)).flip(1)  # the classes are blue, green, red
            fed = (means.mean(1, keepdim=True) - 0.366).abs() < 0.05
            return self.gain * torch.where(fed, means, -means)

    def any_size():
        return Picky(None)

    def only_20():
        return Picky(20)
"""


@pytest.fixture
def planned(tiny_data: Path, store: Store, tmp_path: Path) -> Planner:
    """The plan of a network above, with its weights, on the colours."""
    (tmp_path / "net.py").write_text(textwrap.dedent(NETWORK), encoding="utf-8")
    save_file({"gain": torch.tensor(50.0)}, tmp_path / "net.safetensors")

    def plan(factory: str = "any_size", **fields: Any) -> Plan:  # noqa: ANN401 - raw input
        given = {
            "model": f"{tmp_path / 'net.py'}:{factory}",
            "weights": str(tmp_path / "net.safetensors"),
            "data": {"source": str(tiny_data)},
            **fields,
        }
        return make_plan(Recipe.model_validate(given), store, SilentProgress())

    return plan


def test_the_right_one_comes_first_with_what_to_type(planned: Planner) -> None:
    best, *others = try_preprocessings(planned(), SilentProgress())

    assert best.name == "to 0..1"
    assert (best.spec.mean, best.spec.std, best.spec.channels) == (*NORMALISATIONS["to 0..1"], "RGB")
    assert best.accuracy == 1.0
    assert "--set input.mean=0 --set input.std=1 --set input.channels=RGB" in best.settings()
    swapped = [one for one in others if one.spec == best.spec.model_copy(update={"channels": "BGR"})]
    assert swapped[0].accuracy < 0.5


def test_the_plans_own_is_among_those_that_are_tried(planned: Planner) -> None:
    plan = planned(input={"size": 20, "mean": 0.1, "std": 0.9})

    found = try_preprocessings(plan, SilentProgress())

    assert {one.name for one in found} == {"the plan's", *NORMALISATIONS}
    assert {one.spec.size for one in found} >= {(20, 20), (16, 16), (224, 224), (32, 32)}


def test_the_test_images_are_not_looked_at(planned: Planner) -> None:
    plan = planned()
    dataset = plan.parts.dataset
    blind = Dataset(
        name=dataset.name,
        classes=dataset.classes,
        train=(),
        calibration=dataset.calibration,
        test=tuple(replace(sample, path=Path("nowhere.png")) for sample in dataset.test),
    )

    found = try_preprocessings(replace(plan, parts=replace(plan.parts, dataset=blind)), SilentProgress())

    assert found[0].images == len(dataset.calibration)


def test_sizes_that_the_network_does_not_take_are_left_out(planned: Planner) -> None:
    found = try_preprocessings(planned("only_20", input={"size": 20}), SilentProgress())

    assert {one.spec.size for one in found} == {(20, 20)}
    assert found[0].name == "to 0..1"


def test_a_network_that_takes_none_of_them(planned: Planner) -> None:
    with pytest.raises(UsageError, match="takes none of the usual sizes"):
        try_preprocessings(planned("only_20"), SilentProgress())


def test_a_network_that_is_not_trained(planned: Planner) -> None:
    with pytest.raises(UsageError, match="not trained answers the same"):
        try_preprocessings(planned(weights=None), SilentProgress())


def test_of_an_onnx_file_its_own_size_alone_is_tried(
    trained: Bundle, tiny_data: Path, store: Store, tmp_path: Path
) -> None:
    """The file was trained with mean 0.5 and deviation 0.25."""
    file = shutil.copyfile(trained.root.with_name("float.onnx"), tmp_path / "tiny.onnx")
    given = {"model": str(file), "data": {"source": str(tiny_data)}, "input": {"mean": 0.5, "std": 0.25}}
    plan = make_plan(Recipe.model_validate(given), store, SilentProgress())

    found = try_preprocessings(plan, SilentProgress())

    assert {one.spec.size for one in found} == {(16, 16)}
    assert found[0].accuracy == 1.0


DETECTOR = """
    from torch import nn
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    class Body(nn.Module):
        out_channels = 8

        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 8, 16, 16)

        def forward(self, images):
            return {"0": self.layer(images)}

    def net(num_classes):
        anchors = AnchorGenerator(sizes=((16,),), aspect_ratios=((1.0,),))
        return RetinaNet(Body(), num_classes, anchor_generator=anchors, min_size=96, max_size=96)
"""


def test_a_detector_is_tried_at_its_own_size_and_at_those_of_detectors(store: Store, tmp_path: Path) -> None:
    (file := tmp_path / "net.py").write_text(textwrap.dedent(DETECTOR), encoding="utf-8")
    for part, count in (("train", 10), ("val", 2)):
        (tmp_path / "data" / "images" / part).mkdir(parents=True)
        (tmp_path / "data" / "labels" / part).mkdir(parents=True)
        for number in range(count):
            image = Image.new("RGB", (700, 600), (20 * number, 60 * (part == "val"), 10))
            image.save(tmp_path / "data" / "images" / part / f"{number}.png")
            (tmp_path / "data" / "labels" / part / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    (tmp_path / "data" / "classes.txt").write_text("thing\n", encoding="utf-8")
    given: dict[str, Any] = {"model": f"{file}:net", "task": "detection", "data": {"source": str(tmp_path / "data")}}
    source = make_plan(Recipe.model_validate(given), store, SilentProgress()).parts.model
    save_file(build_network(source, classes=1).state_dict(), weights := tmp_path / "net.safetensors")

    plan = make_plan(Recipe.model_validate(given | {"weights": str(weights)}), store, SilentProgress())
    found = try_preprocessings(plan, SilentProgress())

    assert {one.spec.size for one in found} == {(side, side) for side in (320, 96, 640, 800)}


def test_values_are_typed_so_that_no_shell_takes_them_apart(planned: Planner) -> None:
    found = try_preprocessings(planned(), SilentProgress())
    told = next(one for one in found if one.name == "ImageNet's").settings()

    assert "--set 'input.mean=[0.485,0.456,0.406]'" in told


def test_where_places_count_a_letterbox_is_among_them() -> None:
    spec = PreprocessSpec(size=(224, 224))
    tried = _variants(spec, spec, placed=True)

    assert [(one.channels, one.resize) for one in tried] == [
        (channels, resize) for channels in ("RGB", "BGR") for resize in ("squash", 256, "letterbox")
    ]
    assert {one.fill for one in tried if one.resize == "letterbox"} == {114}


@pytest.mark.parametrize(
    "base",
    [
        PreprocessSpec(size=(32, 32), resize="letterbox", place="corner", fill=0, mean=0, std=1, channels="BGR"),
        PreprocessSpec(size=(20, 30), resize=40, interpolation="bicubic"),
        PreprocessSpec(size=(32, 32), channels="gray"),
    ],
)
@pytest.mark.parametrize("placed", [True, False])
def test_what_is_typed_gives_what_was_tried_and_the_plans_own_is_of_it(base: PreprocessSpec, *, placed: bool) -> None:
    tried = _variants(base.resized("squash"), base, placed=placed)

    assert base in tried
    for spec in tried:
        words = shlex.split(Tried(spec=spec, name="", accuracy=1, loss=0, images=1).settings())
        said = dict(word.removeprefix("input.").split("=") for word in words if word != "--set")
        section = InputSection.model_validate({name: yaml.safe_load(value) for name, value in said.items()})
        assert section.over(base) == spec


def test_the_plans_own_is_judged_however_it_ranks_where_images_are_squashed(planned: Planner) -> None:
    plan = planned("only_20", input={"size": 20, "mean": 0.1, "std": 0.9, "resize": 24})

    found = try_preprocessings(plan, SilentProgress())

    assert [one.images for one in found if one.spec == plan.parts.preprocess] == [len(plan.parts.dataset.calibration)]
