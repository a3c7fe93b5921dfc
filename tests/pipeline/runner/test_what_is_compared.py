"""Which engines stand beside the plain runtimes, and which of them would be shipped; nothing is built or timed."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from exporters.target import PRECISIONS
from pipeline.artifact import ArtifactKind
from pipeline.runner import compare_runtimes

if TYPE_CHECKING:
    from collections.abc import Sequence

Compared = Callable[..., list[tuple[str, str, bool]]]

_SPEED = {
    ("ort-cpu", "float"): 4,
    ("openvino", "float"): 3,
    ("ort-cpu", "int8"): 2,
    ("openvino", "int8"): 1,
}
"""Milliseconds; the INT8 of the second one is not accurate enough to be shipped."""


def _run(name: str, ships: str) -> SimpleNamespace:
    engine = SimpleNamespace(facts={"precision": ships}, key=(name, ships))
    target = SimpleNamespace(name=name, precisions=("float", "int8"))
    return SimpleNamespace(target=target, artifacts={ArtifactKind.ENGINE: engine})


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    def fastest(_chain: object, contenders: Sequence[SimpleNamespace]) -> tuple[int, str]:
        return min(range(len(contenders)), key=lambda one: _SPEED[contenders[one].engine.key]), ""

    def built(run: SimpleNamespace, precision: str) -> SimpleNamespace:
        engine = SimpleNamespace(key=(run.target.name, precision))
        return SimpleNamespace(run=run, precision=precision, engine=engine)

    def beside(
        one: SimpleNamespace, _effort: object, _protocol: object, *, shipped: bool
    ) -> list[tuple[str, str, bool]]:
        return [(one.precision, one.run.target.name, shipped)]

    runs = [_run("ort-cpu", "int8"), _run("openvino", "float")]
    monkeypatch.setattr(compare_runtimes, "preflight", lambda chain: chain)
    monkeypatch.setattr(compare_runtimes, "replace", lambda chain, **_: chain)
    monkeypatch.setattr(compare_runtimes, "finished", lambda _: runs)
    monkeypatch.setattr(compare_runtimes, "fastest", fastest)
    monkeypatch.setattr(compare_runtimes, "_built", built)
    monkeypatch.setattr(compare_runtimes, "_beside", beside)

    def every(*, auto: bool) -> list[tuple[str, str, bool]]:
        plan = SimpleNamespace(
            targets=[run.target for run in runs],
            cannot_run=lambda _: None,
            place=SimpleNamespace(cannot_run=lambda _: None),
            machine=SimpleNamespace(isa=(), architecture="x86_64"),
            fastest_only=auto,
        )
        return list(compare_runtimes.beside_plain_runtimes(SimpleNamespace(plan=plan)))  # type: ignore[arg-type]

    return every


def test_of_auto_what_would_be_shipped_is_held_beside_the_fastest_of_each_precision(compared: Compared) -> None:
    """Of all engines that may ship, ONNX Runtime's in INT8 is the fastest; OpenVINO is in each precision."""
    assert compared(auto=True) == [
        ("float", "openvino", False), ("int8", "ort-cpu", True), ("int8", "openvino", False),
    ]  # fmt: skip


def test_of_named_targets_each_ships_its_own(compared: Compared) -> None:
    found = compared(auto=False)

    assert [one for one in found if one[2]] == [("float", "openvino", True), ("int8", "ort-cpu", True)]
    assert len(found) == 4
    assert {one[0] for one in found} <= set(PRECISIONS)
