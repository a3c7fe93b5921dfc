"""Where a network starts: its weights if there are any, else the seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from pipeline.artifact import sha256_of_file
from pipeline.errors import WeightsError
from pipeline.models.build import build_network
from pipeline.models.source import WeightsSource
from pipeline.progress import SilentProgress
from pipeline.stage import Workspace
from pipeline.stages.start import network_facts, starting_network

if TYPE_CHECKING:
    from pipeline.subject import Parts


def _work(seed: int = 3) -> Workspace:
    return Workspace(folder=Path("unused"), seed=seed, progress=SilentProgress())


def _equal(first: nn.Module, second: nn.Module) -> bool:
    state = second.state_dict()
    return all(torch.equal(value, state[name]) for name, value in first.state_dict().items())


def _saved(network: nn.Module, file: Path, origin: Any = "file") -> WeightsSource:  # noqa: ANN401 - a literal
    torch.save(network.state_dict(), file)
    return WeightsSource(origin=origin, file=file, file_sha256=sha256_of_file(file))


def test_from_scratch_the_seed_decides_every_weight(inputs: Any) -> None:  # noqa: ANN401 - the conftest's function
    first = starting_network(inputs(), _work(1)).network
    torch.rand(3)  # the global generator is somewhere else now
    assert _equal(first, starting_network(inputs(), _work(1)).network)
    assert not _equal(first, starting_network(inputs(), _work(2)).network)


def test_starting_leaves_the_global_generator_as_it_was(inputs: Any) -> None:  # noqa: ANN401
    before = torch.random.get_rng_state()
    starting_network(inputs(), _work())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_from_scratch_it_is_not_trained_and_the_reason_is_noted(inputs: Any) -> None:  # noqa: ANN401
    start = starting_network(inputs(), _work())
    assert not start.trained
    assert start.notes == ("tiny: a test",)


@pytest.mark.parametrize("part", ["all", "the backbone"])
def test_weights_that_changed_since_the_run_began_are_refused(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    tmp_path: Path,
    part: str,
) -> None:
    weights = _saved(build_network(session_parts.model, classes=3), tmp_path / "w.pth")
    _saved(build_network(session_parts.model, classes=3), tmp_path / "w.pth")
    if part != "all":
        weights = WeightsSource(origin="scratch", backbone=weights)
    with pytest.raises(WeightsError, match="changed while it was in use"):
        starting_network(inputs(weights=weights), _work())


def test_weights_of_ones_own_are_taken_as_they_are(inputs: Any, session_parts: Parts, tmp_path: Path) -> None:  # noqa: ANN401
    saved = build_network(session_parts.model, classes=3)
    start = starting_network(inputs(weights=_saved(saved, tmp_path / "w.pth")), _work())
    assert start.trained
    assert start.notes == ()
    assert _equal(start.network, saved)


def test_pretrained_weights_for_other_classes_leave_a_fresh_head_from_the_seed(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    saved = build_network(session_parts.model, classes=7)
    given = inputs(weights=_saved(saved, tmp_path / "w.pth", "pretrained"))
    start, again = (starting_network(given, _work(4)) for _ in range(2))
    assert not start.trained
    assert start.notes == ("tiny: new head for 3 classes",)
    assert torch.equal(start.network.stem[0].weight, saved.stem[0].weight)
    assert start.network.head.weight.shape == (3, 32)
    assert _equal(start.network, again.network)


def test_weights_of_ones_own_for_other_classes_are_refused(inputs: Any, session_parts: Parts, tmp_path: Path) -> None:  # noqa: ANN401
    saved = build_network(session_parts.model, classes=7)
    with pytest.raises(WeightsError, match="for 7 classes, the data has 3"):
        starting_network(inputs(weights=_saved(saved, tmp_path / "w.pth")), _work())


def test_the_facts_are_parameters_and_multiply_accumulates_of_one_image(inputs: Any, session_parts: Parts) -> None:  # noqa: ANN401
    network = build_network(session_parts.model, classes=3)
    stem, body, depth, widen, head = 3 * 16 * 9, 16 * 16 * 9, 16 * 9, 16 * 32, 32 * 3
    macs = 16 * 16 * (stem + body + depth) + 8 * 8 * widen + head
    params = stem + 32 + body + 32 + depth + 16 + widen + 32 + head + 3
    assert network_facts(network, inputs()) == {"params": params, "macs": macs}
