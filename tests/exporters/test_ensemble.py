"""Several networks as one engine: what they say together, measured like any engine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from exporters.ensemble import Member, ensemble_spec, open_session
from pipeline.catalog import JOINERS, OPENERS
from pipeline.import_path import object_at
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact


@pytest.fixture
def members(engine: Artifact, tmp_path: Path) -> tuple[Path, EngineSpec]:
    """The tiny network three times, once as if its outputs were probabilities."""
    spec = EngineSpec.from_json(engine.facts["engine"])
    for number in range(3):
        shutil.copytree(engine.root, tmp_path / str(number))
    kinds = ("logits", "logits", "probabilities")
    members = [Member(spec=spec, opener=OPENERS[spec.target], answers=kind) for kind in kinds]
    return tmp_path, ensemble_spec(members, JOINERS["classification"])


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_it_says_the_mean_of_its_members_probabilities(members: tuple[Path, EngineSpec], engine: Artifact) -> None:
    folder, spec = members
    batch = np.random.default_rng(0).standard_normal(spec.input.shape).astype(np.float32)
    alone = EngineSpec.from_json(engine.facts["engine"])
    with object_at(OPENERS[alone.target])(engine.root, alone) as session:
        (said,) = session.run(batch)
    with open_session(folder, spec) as session:
        (found,) = session.run(batch)
        assert len(session.facts()["members"]) == 3
    np.testing.assert_allclose(found, (2 * _softmax(said) + said) / 3, atol=1e-6)
    assert (found.shape, found.dtype) == (spec.outputs[0].shape, np.float32)


def test_what_is_loaded_are_the_files_of_all_members(members: tuple[Path, EngineSpec]) -> None:
    folder, spec = members
    assert spec.loaded == ("0/model.onnx", "1/model.onnx", "2/model.onnx")
    assert all((folder / file).is_file() for file in spec.loaded)


def test_its_spec_survives_json_and_opens_by_the_table(members: tuple[Path, EngineSpec]) -> None:
    folder, spec = members
    again = EngineSpec.from_json(spec.to_json())
    assert again == spec
    with object_at(OPENERS[again.target])(folder, again) as session:
        assert session.run(np.zeros(spec.input.shape, np.float32))[0].sum() > 0


def test_a_member_that_cannot_be_loaded_releases_the_others(members: tuple[Path, EngineSpec]) -> None:
    folder, spec = members
    (folder / "2" / "model.onnx").write_bytes(b"no model")
    session: Any = open_session(folder, spec)
    with pytest.raises(Exception, match="model"):
        session.__enter__()
    assert all(one._session is None for one, *_ in session._members)


def test_a_member_that_is_normalised_otherwise_gets_what_it_was_trained_with(engine: Artifact, tmp_path: Path) -> None:
    alone = EngineSpec.from_json(engine.facts["engine"])
    shutil.copytree(engine.root, tmp_path / "0")
    scale, offset = (2.0, 0.5, 1.0), (0.1, -0.2, 0.0)
    member = Member(spec=alone, opener=OPENERS[alone.target], answers="probabilities", scale=scale, offset=offset)
    batch = np.random.default_rng(0).standard_normal(alone.input.shape).astype(np.float32)
    with object_at(OPENERS[alone.target])(engine.root, alone) as session:
        factors, terms = (np.array(values, dtype=np.float32)[:, None, None] for values in (scale, offset))
        (wanted,) = session.run(batch * factors + terms)
    with open_session(tmp_path, ensemble_spec([member], JOINERS["classification"])) as session:
        (found,) = session.run(batch)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
