"""The command ``fleet``: what it lists, and how it ends before anything is run."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.cli import console
from pipeline.cli.main import app
from pipeline.fleet import fleet_run, ray_crew
from pipeline.fleet.folder_lock import folder_of_ones_own

if TYPE_CHECKING:
    from pipeline.fleet.cell_run import Order

FLEET = """\
models: [resnet18, {model: mobilenet_v2, name: small}]
recipes: [{quick: true}]
targets: [ort-cpu, openvino]
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["edgewright", "fleet"])
    Path("fleet.yaml").write_text(FLEET, encoding="utf-8")


def _typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    console.out_console.cache_clear()
    console.progress.cache_clear()
    with pytest.raises(SystemExit) as left:
        app(args=["fleet", *words])
    console.out_console.cache_clear()
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_a_dry_run_lists_the_cells_and_needs_no_ray(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, _ = _typed(capsys, "fleet.yaml", "--dry-run")

    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["model", "data", "recipe", "target", "device"],
        ["resnet18", "own", "quick", "ort-cpu", "here"],
        ["resnet18", "own", "quick", "openvino", "here"],
        ["small", "own", "quick", "ort-cpu", "here"],
        ["small", "own", "quick", "openvino", "here"],
        ["4", "cells"],
    ]
    assert not Path("deployments").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("targets: [ort-cpu, openvno]", "unknown target 'openvno'"),
        ("devices: [here, pi]", "unknown device 'pi'"),
        ("devices: ['ssh://pi']", "devices: a fleet's devices have names"),
    ],
)
def test_a_dry_run_refuses_names_that_are_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, told: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    Path("fleet.yaml").write_text(f"models: [resnet18]\n{line}\n", encoding="utf-8")
    code, out, err = _typed(capsys, "fleet.yaml", "--dry-run")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {told}")


def test_without_ray_one_sentence_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.fleet.ray_crew.find_spec", lambda _name: None)

    assert _typed(capsys, "fleet.yaml") == (
        2,
        "",
        "error: fleets run on Ray, which is not installed\n  fix: pip install 'edgewright[fleet]'\n",
    )
    assert not Path("deployments").exists()


def test_a_folder_that_another_fleet_writes_to_is_left_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_crew, "refuse_without_ray", lambda: None)
    with folder_of_ones_own(Path("deployments", "fleet")):
        assert _typed(capsys, "fleet.yaml") == (
            2,
            "",
            (
                "error: deployments/fleet: another fleet writes here\n"
                "  fix: wait for its end, or name another folder by --out\n"
            ),
        )


def test_a_wrong_file_ends_with_2_and_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fleet.yaml").write_text("models: [resnet18]\ntarget: [ort-cpu]\n", encoding="utf-8")

    code, out, err = _typed(capsys, "fleet.yaml", "--dry-run")

    assert (code, out) == (2, "")
    assert err == (
        "error: fleet.yaml:2: unknown key 'target'\n  expected: did you mean targets or store?\n"
        "  fix: docs/fleet.md has an example with every key\n"
    )


def test_a_folder_of_baselines_that_was_typed_has_to_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert _typed(capsys, "fleet.yaml", "--baselines", "mistyped") == (
        2,
        "",
        (
            "error: --baselines: there is no such folder of baselines\n  got: mistyped\n"
            "  fix: name one that `edgewright baseline accept` wrote, or leave --baselines away\n"
        ),
    )
    assert not Path("deployments").exists()


@pytest.mark.parametrize(
    ("words", "there", "gated"),
    [((), None, False), ((), "baselines", True), (("--baselines", "b"), "b", True), (("--baselines", "b"), None, True)],
)
def test_cells_on_other_machines_are_told_whether_baselines_have_to_be_there(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], there: str | None, *, gated: bool
) -> None:
    if there:
        Path(there).mkdir()
    asked: list[Order] = []

    class NoRun:
        def __init__(self, *, orders: list[Order], **_: Any) -> None:  # noqa: ANN401 - whatever else a run is given
            asked.extend(orders)

        def run(self) -> None:
            raise SystemExit(0)

    monkeypatch.setattr(ray_crew, "refuse_without_ray", lambda: None)
    monkeypatch.setattr(ray_crew, "RayCrew", lambda _address: nullcontext())
    monkeypatch.setattr(fleet_run, "FleetRun", NoRun)
    with pytest.raises(SystemExit):
        app(args=["fleet", "fleet.yaml", "--address", "auto", *words])
    assert {(one.baselines, one.gated) for one in asked} == {
        (Path(words[1] if words else "baselines").absolute(), gated)
    }
