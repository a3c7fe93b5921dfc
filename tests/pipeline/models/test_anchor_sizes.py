"""Anchors in pixels shrink with the images, and come back as they were written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pipeline.errors import IntegrityError
from pipeline.models.anchor_sizes import recorded_anchors, scale_anchors, set_anchors
from pipeline.models.build import build_network
from pipeline.models.files import ARCHITECTURE, load_network, save_network
from pipeline.models.resolve import resolve_model

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = resolve_model("fasterrcnn_mobilenet_v3_large_320_fpn")


def test_anchors_shrink_and_a_stored_network_says_so(tmp_path: Path) -> None:
    network: Any = build_network(SOURCE, classes=2)
    assert recorded_anchors(network) == {}
    before = network.rpn.anchor_generator.cell_anchors
    scale_anchors(network, 0.5)
    save_network(network, SOURCE, tmp_path, classes=2)
    again: Any = load_network(tmp_path, SOURCE)

    sides = [16.0, 32.0, 64.0, 128.0, 256.0]
    written = json.loads((tmp_path / ARCHITECTURE).read_text(encoding="utf-8"))["anchors"]
    assert written == {"rpn.anchor_generator": [sides] * 3}
    assert recorded_anchors(again) == recorded_anchors(network)
    for ours, theirs in zip(again.rpn.anchor_generator.cell_anchors, before, strict=True):
        torch.testing.assert_close(ours, theirs / 2, rtol=0, atol=1.0)  # whole pixels


def test_fcos_learns_of_an_object_in_places_as_far_from_its_middle_as_before(tmp_path: Path) -> None:
    """Its anchors' sides say how far that is, and places do not move: else small objects had none."""
    source = resolve_model("fcos_resnet50_fpn")
    network: Any = build_network(source, classes=2)

    def reach(one: Any) -> float:  # noqa: ANN401 - FCOS
        return float(one.center_sampling_radius * one.anchor_generator.sizes[0][0])

    before = reach(network)
    scale_anchors(network, 0.3)
    assert reach(network) == pytest.approx(before)
    save_network(network, source, tmp_path, classes=2)
    assert reach(load_network(tmp_path, source)) == pytest.approx(before)


@pytest.mark.parametrize("recorded", [{"rpn.nothing": [[8.0]]}, {"rpn.anchor_generator": [[8.0]]}])
def test_anchors_that_the_builder_does_not_make_are_refused(recorded: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="the builder makes no such anchors"):
        set_anchors(build_network(SOURCE, classes=2), recorded, "here")
