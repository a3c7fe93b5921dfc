"""Smaller images: the network learns to see them, and is told no more of them than it may know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from pipeline.errors import UsageError
from pipeline.models.count import count_macs
from pipeline.models.files import load_network
from pipeline.progress import SilentProgress
from pipeline.stage import Workspace
from pipeline.stages.downsample import Downsample
from pipeline.training import cached_answers, loop
from pipeline.training.images import TrainingImages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from pipeline.artifact import Artifact
    from pipeline.subject import Parts


@pytest.fixture(scope="module")
def dense(chain: Mapping[str, Any]) -> Artifact:
    """The network before."""
    artifact: Artifact = chain["baseline"].result.artifact
    return artifact


def _batch_norms(artifact: Artifact, parts: Parts) -> dict[str, Tensor]:
    state = load_network(artifact.root, parts.model).state_dict()
    return {name: value for name, value in state.items() if "running" in name}


def _others(artifact: Artifact, parts: Parts) -> dict[str, Tensor]:
    state = load_network(artifact.root, parts.model).state_dict()
    return {name: value for name, value in state.items() if "running" not in name and "batches" not in name}


def test_multiplications_are_those_of_the_smaller_image_and_parameters_stay(
    chain: Mapping[str, Any], dense: Artifact, session_parts: Parts
) -> None:
    made = chain["downsample"].result.artifact
    assert made.facts["params"] == dense.facts["params"]
    assert made.facts["macs"] == count_macs(load_network(made.root, session_parts.model), (1, 3, 12, 12))
    assert made.facts["macs"] < 0.6 * dense.facts["macs"]


def test_it_still_tells_the_colours_apart_at_the_smaller_size(chain: Mapping[str, Any], session_parts: Parts) -> None:
    network = load_network(chain["downsample"].result.artifact.root, session_parts.model)
    images = TrainingImages(
        session_parts.dataset.train, session_parts.preprocess.at((12, 12)), SilentProgress(), session_parts.task
    )
    with torch.no_grad():
        said = network.eval()(images.first(len(images))).argmax(dim=1)
    assert float((said == images.labels).double().mean()) > 0.9


def test_without_training_images_the_batch_norms_alone_are_tuned(
    chain: Mapping[str, Any], dense: Artifact, session_parts: Parts
) -> None:
    made = chain["downsample untrained"].result
    before, after = (_others(artifact, session_parts) for artifact in (dense, made.artifact))
    assert all(torch.equal(before[name], after[name]) for name in before)
    moved, were = (_batch_norms(artifact, session_parts) for artifact in (made.artifact, dense))
    assert any(not torch.equal(moved[name], were[name]) for name in were)
    assert "there are none to train on" in made.notes[1]


@pytest.mark.parametrize("size", [16, (16, 16), 20, (12, 20), None])
def test_a_size_that_is_no_smaller_is_refused(
    size: Any,  # noqa: ANN401 - raw input
    inputs: Any,  # noqa: ANN401 - a function
    dense: Artifact,
    tmp_path: Path,
) -> None:
    work = Workspace(folder=tmp_path, seed=0, progress=SilentProgress())
    with pytest.raises(UsageError) as caught:
        Downsample(size=size).run(inputs(dense), work)
    assert (caught.value.where, caught.value.expected) == ("downsample.size", "less than 16x16")
    assert not list(tmp_path.iterdir())


def test_the_larger_images_are_the_teachers_and_the_smaller_ones_the_students(
    inputs: Any,  # noqa: ANN401 - a function
    dense: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, trained = [], []

    def ask(network: Any, read: Any, images: Any, **rest: Any) -> Any:  # noqa: ANN401
        asked.append(tuple(images.first(1).shape))
        return original(network, read, images, **rest)

    def train(network: Any, images: Any, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
        trained.append(tuple(images.first(1).shape))
        return ()

    original = cached_answers.ask
    monkeypatch.setattr(cached_answers, "ask", ask)
    monkeypatch.setattr(loop, "train", train)
    Downsample(size=12).run(inputs(dense), Workspace(folder=tmp_path, seed=0, progress=SilentProgress()))
    assert (asked, trained) == ([(1, 3, 16, 16)], [(1, 3, 12, 12)])
