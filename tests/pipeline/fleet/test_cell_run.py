"""A cell ends as its deploy alone would have ended, and never by an exception."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import __version__
from pipeline.devices.entries import DeviceEntry
from pipeline.fleet import cell_run
from pipeline.fleet.cell_run import Order, run_cell
from pipeline.runner import deploy as deploy_module

if TYPE_CHECKING:
    from pipeline.chain.chain import Chain

Orders = Callable[[str], list[Order]]


@pytest.fixture
def order(orders: Orders, tiny_file: Path, tiny_data: Path) -> Order:
    """The tiny network on its colours."""
    (found,) = orders(
        f"models: [{{model: '{tiny_file}:tiny', name: tiny}}]\ndata: ['{tiny_data}']\n"
        "recipes: [{name: small, settings: {input.size: 16, distill.teachers: [resnet18]}}]\n"
    )
    return dataclasses.replace(found, edgewright=__version__)


def _deploys(monkeypatch: pytest.MonkeyPatch, act: Callable[[Chain, Path], Any]) -> None:
    monkeypatch.setattr(deploy_module, "deploy", lambda chain, *, out, shelf: act(chain, out))


def test_the_deploy_of_the_command_is_called_and_what_it_writes_comes_back(
    order: Order, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}

    def deploy(chain: Chain, out: Path) -> Any:  # noqa: ANN401 - what deploy gives
        seen.update(store=chain.store.root, model=chain.plan.recipe.model, folder=Path.cwd(), out=out)
        (out / "bundle").mkdir(parents=True)
        (out / "bundle" / "model.onnx").write_bytes(b"a model")
        chain.announce(_outcome("baseline", "cached"))
        chain.announce(_outcome("build", "ran"))
        return (_Deployed(exit_code=1),)

    _deploys(monkeypatch, deploy)
    told: list[str] = []
    before = Path.cwd()
    try:
        end = run_cell(dataclasses.replace(order, store=tmp_path / "shared"), told.append)
    finally:
        os.chdir(before)

    assert (end.exit_code, end.error, end.files, end.ran) == (1, None, {"bundle/model.onnx": b"a model"}, ("build",))
    assert told == ["baseline", "build"]
    assert (seen["store"], seen["folder"]) == (tmp_path / "shared", order.working_folder)
    assert seen["model"] == order.cell.recipe.model
    assert not seen["out"].exists()


def test_what_goes_wrong_is_told_as_the_command_tells_it(order: Order) -> None:
    end = run_cell(dataclasses.replace(order, cell=_with_data(order, "no_such_folder")), print)

    assert end.exit_code == 2
    assert end.error is not None
    assert "no_such_folder" in end.error
    assert "Traceback" not in end.error
    assert end.files == {}


def test_a_place_below_the_home_is_told_without_it(
    order: Order, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "canary"))
    end = run_cell(dataclasses.replace(order, cell=_with_data(order, f"{tmp_path}/canary/photos")), print)

    assert end.exit_code == 2
    assert end.error is not None
    assert "~/photos" in end.error
    assert "canary" not in end.error


def test_a_defect_is_told_as_one(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    _deploys(monkeypatch, lambda _chain, _out: 1 / 0)
    end = run_cell(order, print)

    assert end.exit_code == 70
    assert end.error is not None
    assert end.error.startswith("a defect in edgewright: ZeroDivisionError at test_cell_run.py:")


def test_another_version_is_refused(order: Order) -> None:
    end = run_cell(dataclasses.replace(order, edgewright="0.0.1"), print)

    assert end.exit_code == 2
    assert end.error == (
        f"the cluster has another edgewright\n  got: {__version__}\n  expected: 0.0.1\n"
        "  fix: install the same version on its machines"
    )


@pytest.mark.parametrize(("gated", "code"), [(True, 2), (False, 0)])
def test_baselines_that_are_not_there_fail_a_cell_that_is_to_be_gated(
    order: Order, monkeypatch: pytest.MonkeyPatch, *, gated: bool, code: int
) -> None:
    _deploys(monkeypatch, lambda _chain, _out: (_Deployed(exit_code=0),))
    end = run_cell(dataclasses.replace(order, baselines=Path("/no/baselines"), gated=gated), print)

    assert end.exit_code == code
    assert end.error == (
        None
        if not gated
        else "--baselines: the folder of baselines is not on the machine of this cell\n  got: /no/baselines\n"
        "  fix: put it where every machine has it, and name it by its full path: --baselines /nfs/baselines"
    )


def test_a_device_is_reached_as_whoever_asks_has_noted_it_and_its_address_is_not_told(order: Order) -> None:
    entry = DeviceEntry(address="ssh://me@127.0.0.1:1")
    cell = dataclasses.replace(order.cell, axes=dataclasses.replace(order.cell.axes, device="pi"))
    end = run_cell(dataclasses.replace(order, cell=cell, device=entry), print)

    assert end.exit_code == 2
    assert end.error is not None
    assert end.error.startswith("pi (pi): the device cannot be reached")
    assert "127.0.0.1" not in end.error
    assert "me@" not in end.error


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("connect to host 10.0.0.7 port 22: refused", "connect to host pi port 22: refused"),
        ("me@10.0.0.7: Permission denied", "pi: Permission denied"),
        ("closed by 10.0.0.7.", "closed by pi."),
        ("ssh://board is off; see 10.0.0.77", "pi is off; see 10.0.0.77"),
    ],
)
def test_what_ssh_makes_of_an_address_is_not_told_either(
    order: Order, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setattr(cell_run, "configured_host", lambda _: "10.0.0.7")
    cell = dataclasses.replace(order.cell, axes=dataclasses.replace(order.cell.axes, device="pi"))
    there = dataclasses.replace(order, cell=cell, device=DeviceEntry(address="ssh://board"))

    assert cell_run._without_address(text, there) == told


def _with_data(order: Order, source: str) -> Any:  # noqa: ANN401 - a cell
    recipe = order.cell.recipe
    data = recipe.data.model_copy(update={"source": source})
    return dataclasses.replace(order.cell, recipe=recipe.model_copy(update={"data": data}))


@dataclasses.dataclass
class _Result:
    stage: str
    status: str


@dataclasses.dataclass
class _Outcome:
    result: _Result


@dataclasses.dataclass
class _Deployed:
    exit_code: int


def _outcome(stage: str, status: str) -> Any:  # noqa: ANN401 - as much of an outcome as is looked at
    return _Outcome(_Result(stage, status))
