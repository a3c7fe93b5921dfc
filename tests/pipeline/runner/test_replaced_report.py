"""What a run says before it replaces the report of another machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.workers.workplace import HERE
from pipeline.environment import any_machine, this_machine
from pipeline.measuring.report_entries import machine_entry
from pipeline.runner import deploy as deploying
from pipeline.runner import replaced_report
from pipeline.runner.replaced_report import told_of_another_machine
from pipeline.runner.selftest_bundle import _folder

if TYPE_CHECKING:
    from pipeline.store import Store

Place = Any  # of benchmarks.workers.workplace, as far as it is asked here

_BOARD: Place = SimpleNamespace(name="pi", machine=any_machine("aarch64"), identity="a board", versions=dict.fromkeys)


def _boxed(name: str) -> Place:
    return SimpleNamespace(name=name, machine=this_machine(), identity=HERE.identity, versions=_BOARD.versions)


def _stands(monkeypatch: pytest.MonkeyPatch, made_on: Place) -> None:
    """In every folder a report that was made there."""
    monkeypatch.setattr(replaced_report, "read_report", lambda _: SimpleNamespace(machine=machine_entry(made_on)))


@pytest.mark.parametrize(
    ("made_on", "runs_on", "told"),
    [
        (_BOARD, HERE, "pi (unknown, "),
        (HERE, _BOARD, "this machine: "),
        (_boxed("box"), HERE, "box ("),
        (_boxed("box"), _boxed("lb"), "box ("),
        (_boxed("ssh://me@box"), _BOARD, "a device ("),
        (HERE, HERE, None),
        (_BOARD, _BOARD, None),
    ],
)
def test_a_report_of_another_machine_or_device_is_named_before_it_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made_on: Place, runs_on: Place, told: str | None
) -> None:
    _stands(monkeypatch, made_on)
    found = told_of_another_machine(tmp_path, runs_on)

    if told is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(f"{tmp_path} holds what was made for {told}")
        assert found.endswith("--out FOLDER keeps both")


@pytest.mark.parametrize("text", [None, "", "no report", '{"machine": {"class": "x"}}', "[]"])
def test_where_no_report_can_be_read_nothing_is_said(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    assert told_of_another_machine(tmp_path, HERE) is None
    assert told_of_another_machine(tmp_path / "nowhere", HERE) is None


@pytest.mark.parametrize("typed", [False, True])
def test_it_is_said_of_the_usual_folder_before_the_work(monkeypatch: pytest.MonkeyPatch, *, typed: bool) -> None:
    _stands(monkeypatch, _BOARD)
    usual = Path("deployments", "net", "ort-cpu")
    said: list[str] = []

    class _BegunError(Exception):
        pass

    def begun(*_: object) -> Iterator[object]:
        raise _BegunError

    monkeypatch.setattr(deploying, "check_results_folder", begun)
    plan = SimpleNamespace(recipe=SimpleNamespace(model="net"), targets=[SimpleNamespace(name="ort-cpu")], place=HERE)
    chain: Any = SimpleNamespace(plan=plan, progress=SimpleNamespace(note=said.append))
    with pytest.raises(_BegunError):
        deploying.deploy(chain, out=usual if typed else None)

    assert [one.partition(" (")[0] for one in said] == ([] if typed else [f"{usual} holds what was made for pi"])


def test_a_selftest_of_a_device_makes_its_bundle_in_a_folder_of_its_own(store: Store) -> None:
    places = [HERE, _BOARD, _boxed("box"), _boxed("lb")]
    folders = {_folder(store, place) for place in places}

    assert len(folders) == 4
    assert {folder.parent for folder in folders} == {store.root / "selftest"}
    assert _folder(store, _boxed("box")) in folders
