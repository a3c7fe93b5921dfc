"""The commands that measure and compare, as they are typed; and what they print, write and end with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.workers.workplace import HERE
from exporters.bundle import Bundle, read_bundle
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.cli import console, gating
from pipeline.cli.baselines import _beside_before
from pipeline.cli.cores import cores_named
from pipeline.cli.gate_options import margins_of, slowdowns_of
from pipeline.cli.gating import _gate_accepted, _gate_pair
from pipeline.errors import BaselineError, IntegrityError, UnknownNameError, UsageError
from pipeline.gate.baselines.history import Figures, History, HistoryLine
from pipeline.gate.baselines.shelf import Shelf, case_of
from pipeline.leftovers import temporary_beside
from pipeline.progress import SilentProgress
from pipeline.report.render import read_report
from pipeline.runner import publish
from pipeline.runner.deploy import deploy
from pipeline.store import Store

if TYPE_CHECKING:
    from benchmarks.workers.workplace import Workplace
    from pipeline.gate.two_bundles import GateOptions
    from pipeline.recipe import Recipe

Done = subprocess.CompletedProcess[str]
Edgewright = Callable[..., Done]
TryAll = Callable[..., dict[str, dict[str, Any]]]
Golden = Callable[[str, str], None]
Remake = Callable[..., Bundle]
Given = Callable[..., "GateOptions"]

MISTAKES: dict[str, tuple[int, tuple[str, ...]]] = {
    "gate-with-an-unknown-margin": (2, ("gate", "b", "b", "--margin", "latency_p5=3%")),
    "gate-with-a-margin-without-value": (2, ("gate", "b", "b", "--margin", "accuracy")),
    "gate-with-a-margin-that-is-no-share": (2, ("gate", "b", "b", "--margin", "accuracy=much")),
    "gate-with-a-margin-above-all": (2, ("gate", "b", "b", "--margin", "agreement=150%")),
    "gate-with-a-part-of-a-byte": (2, ("gate", "b", "b", "--margin", "memory_bytes=3%")),
    "gate-with-a-negative-margin": (2, ("gate", "b", "b", "--margin", "accuracy=-1%")),
    "gate-quick-and-strict": (2, ("gate", "b", "b", "--quick", "--strict")),
    "gate-on-cores-that-are-none": (2, ("gate", "b", "b", "--affinity", "first")),
    "gate-without-a-candidate": (2, ("gate", "b")),
    "gate-on-no-threads": (2, ("gate", "b", "b", "--threads", "0")),
    "gate-with-a-baseline-that-is-not-there": (5, ("gate", "nowhere", "b")),
    "gate-of-nothing-against-nothing": (5, ("gate", "empty", "empty")),
    "gate-of-a-case-without-baseline": (5, ("gate", "empty", "b")),
    "gate-of-a-candidate-that-is-not-there": (6, ("gate", "b", "nowhere")),
    "gate-of-a-damaged-candidate": (6, ("gate", "b", "damaged")),
    "gate-against-a-damaged-history": (6, ("gate", "shelf", "b")),
    "gate-of-two-candidates-of-one-case": (2, ("gate", "empty", "twice")),
    "selftest-slowed-by-no-share": (2, ("selftest", "--slowed", "much")),
    "measure-of-nothing": (2, ("measure",)),
    "measure-of-a-folder-without-bundle": (6, ("measure", "empty")),
    "measure-with-unknown-images": (2, ("measure", "b")),
    "accept-without-a-reason": (2, ("baseline", "accept", "b")),
    "accept-with-an-empty-reason": (2, ("baseline", "accept", "b", "--reason", " ")),
    "accept-with-a-reason-that-is-no-text": (2, ("baseline", "accept", "b", "--reason", "gr\udcfcn")),
    "baseline-with-an-unknown-command": (2, ("baseline", "acept")),
    "list-of-a-damaged-history": (6, ("baseline", "list", "--baselines", "shelf")),
}
"""What may be wrong, as it is typed in the folder of the fixture below, and the exit code."""


@pytest.fixture(scope="module")
def told(
    try_all: TryAll, trained: Bundle, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """How each mistake ends; all in one process."""
    folder = tmp_path_factory.mktemp("mistakes")
    for name in ("b", "damaged", "twice/one", "twice/two"):
        shutil.copytree(trained.root, folder / name)
    (folder / "damaged" / "classes.txt").write_bytes(b"blue\n")
    (folder / "empty").mkdir()
    case = folder / "shelf" / case_of(trained)
    case.mkdir(parents=True)
    (case / "history.jsonl").write_text("{}\n")
    typed = {name: arguments for name, (_, arguments) in MISTAKES.items()}
    own = {**environment, "EDGEWRIGHT_CACHE": str(tmp_path_factory.mktemp("cache"))}
    return try_all(typed, ["torch"], folder, own)


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_wrong_ends_with_its_code_and_one_message(
    told: dict[str, dict[str, Any]], golden: Golden, name: str
) -> None:
    end = told[name]

    assert (end["code"], end["out"]) == (MISTAKES[name][0], "")
    assert "Traceback" not in end["err"]
    assert "defect" not in end["err"]
    golden(f"cli/{name}.txt", end["err"])


def test_what_is_wrong_is_told_without_torch(told: dict[str, dict[str, Any]]) -> None:
    assert [name for name, end in told.items() if end["imported"]] == []


# Options


def test_slowdowns_are_shares_or_percents_each_once_and_the_least_first() -> None:
    assert slowdowns_of(["5%", "0", "0.05", "2.5%"]) == (0.0, 0.025, 0.05)


@pytest.mark.parametrize("typed", ["much", "-1%", "nan", "101%", "5"])
def test_a_slowdown_that_is_no_share_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"--slowed {typed}")):
        slowdowns_of([typed])


def test_margins_are_shares_or_percents() -> None:
    found = margins_of(["latency_p50=3%", "accuracy=0.005", "memory_bytes=4096", "agreement=95%"])

    assert (found.latency_p50, found.accuracy, found.memory_bytes, found.agreement) == (0.03, 0.005, 4096, 0.95)
    assert found.latency_p90 == margins_of([]).latency_p90


def test_the_last_one_of_two_settings_of_a_margin_holds() -> None:
    assert margins_of(["size=1%", "size=2%"]).size == 0.02


@pytest.mark.parametrize("setting", ["size=", "size=nan", "size=inf", "size=1e400", "size=%", "size=1%%", "size"])
def test_a_margin_that_is_no_share_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match="a margin is a share"):
        margins_of([setting])


def test_an_unknown_margin_is_told_the_nearest_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown margin 'latncy_p50'") as raised:
        margins_of(["latncy_p50=1%"])

    assert "latency_p50" in (raised.value.expected or "")


def test_cores_are_single_ones_and_spans() -> None:
    usable = sorted(os.sched_getaffinity(0))
    first, last = usable[0], usable[-1]

    assert cores_named(None) == ()
    assert cores_named(f"{last},{first},{last}") == tuple(sorted({first, last}))
    assert cores_named(f"{first}-{first}") == (first,)


@pytest.mark.parametrize("text", ["", ",", "0,", "a", "0-", "-1", "0--1", "1-0", "0-9999999999999", "4096", "0x1"])
def test_cores_that_are_none_or_not_ours_are_refused_at_once(text: str) -> None:
    with pytest.raises(UsageError, match="cores"):
        cores_named(text)


# The gate


@dataclass(frozen=True, kw_only=True)
class _AsTyped:
    """How each command ended, and what they left."""

    ends: dict[str, Done]
    baselines: Path
    record: Path
    core: int


@dataclass
class _Typed:
    """A gate run in this process, without any of its own: its times are given."""

    options: GateOptions
    data: str
    root: Path

    def pair(self, baseline: Bundle, candidate: Bundle, out: Path | None = None) -> int:
        return _gate_pair(baseline.root, candidate.root, self.data, self.options, out)

    def accepted(self, shelf: Path, candidate: Path, out: Path | None = None) -> list[int]:
        return _gate_accepted(shelf, candidate, self.data, self.options, out)


@pytest.fixture
def typed(given: Given, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Typed]:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    console.out_console.cache_clear()
    console.progress.cache_clear()
    yield _Typed(given(), str(tiny_data), tmp_path)
    console.out_console.cache_clear()
    console.progress.cache_clear()


def _cases(path: Path) -> dict[str, ET.Element]:
    return {case.attrib["name"]: case for case in ET.parse(path).iter("testcase")}  # noqa: S314 - our own


def test_a_gate_prints_its_sentence_and_table_and_writes_every_report(
    typed: _Typed, trained: Bundle, bigger: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = typed.pair(trained, bigger, tmp_path / "out")
    lines = capsys.readouterr().out.splitlines()
    report = read_report(tmp_path / "out")

    assert code == 1
    assert not any(line.startswith("::") for line in lines)
    assert lines[0].startswith("REGRESSED net.py:tiny for ort-cpu: size +")
    assert lines[0] == report.verdict.sentence
    assert re.split(r" {2,}", lines[1].strip()) == [
        "metric", "verdict", "baseline", "candidate", "change", "interval", "limit",
    ]  # fmt: skip
    assert any(re.match(r"size +regressed +.*counted +\+0 %$", line) for line in lines)
    written = [tmp_path / "out" / name for name in ("report.json", "report.md", "report.html", "junit.xml")]
    assert lines[-4:] == [f"  {path}" for path in written]
    assert report.gate is not None
    assert report.verdict.sentence in written[1].read_text(encoding="utf-8")
    assert "REGRESSED net.py:tiny for ort-cpu" in written[2].read_text(encoding="utf-8")
    assert [child.tag for child in _cases(written[3])["size"]] == ["failure"]


def test_a_gate_on_github_annotates_what_got_worse_and_adds_to_the_summary(
    typed: _Typed,
    trained: Bundle,
    worse: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("from an earlier step\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

    assert typed.pair(trained, worse) == 8
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::error")]
    assert [line.partition("::")[2].partition("::")[0] for line in commands] == [
        "error title=edgewright accuracy", "error title=edgewright agreement",
    ]  # fmt: skip
    assert "-66.67 points" in commands[0]
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("from an earlier step\n")
    assert "accuracy 66.67 points lost" in text


@pytest.fixture(scope="session")  # a process of the tests may come back to this module
def as_typed(edgewright: Edgewright, trained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> _AsTyped:
    """``baseline accept``, ``baseline list`` and ``measure`` of the trained bundle, one after the other."""
    root = tmp_path_factory.mktemp("as-typed")
    bundle, shelf, record = str(trained.root), str(root / "baselines"), str(root / "record.json")
    core = max(os.sched_getaffinity(0))
    typed: dict[str, tuple[str, ...]] = {
        "accept": (
            "baseline", "accept", bundle, "--reason", "the first [bold]", "--data", "colours", "--baselines", shelf,
        ),
        "list": ("baseline", "list", "--baselines", shelf),
        "list of nothing": ("baseline", "list", "--baselines", "empty"),
        "measure": (
            "measure", bundle, "--quick", "--data", "colours", "--threads", "1", "--affinity", str(core),
            "--out", record,
        ),
    }  # fmt: skip
    ends = {name: edgewright(*arguments) for name, arguments in typed.items()}
    return _AsTyped(ends=ends, baselines=Path(shelf), record=Path(record), core=core)


@pytest.fixture
def shelf(as_typed: _AsTyped) -> Shelf:
    """The trained bundle, accepted; it may be looked at, not changed."""
    return Shelf(as_typed.baselines)


def test_a_bundle_is_gated_by_the_accepted_one_of_its_case(
    typed: _Typed, shelf: Shelf, worse: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = typed.accepted(shelf.root, worse.root, tmp_path / "out")
    report = read_report(tmp_path / "out")

    assert codes == [8]
    assert report.gate is not None
    assert report.gate.against == "accepted"
    assert [point.reason for point in report.history] == ["the first [bold]"]
    assert capsys.readouterr().out.splitlines()[0] == report.gate.sentence


def test_every_accepted_case_is_gated_and_one_without_a_candidate_fails(
    typed: _Typed, shelf: Shelf, trained: Bundle, remake: Remake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = Shelf(Path(shutil.copytree(shelf.root, tmp_path / "baselines")))
    other = remake({"model": "other"})
    history = shelf.history(case_of(trained))
    assert history is not None
    two.accept(other, history.current.model_copy(update={"bundle": other.sha256}))
    shutil.copytree(trained.root, tmp_path / "deployments" / "tiny" / "ort-cpu" / "bundle")

    codes = typed.accepted(two.root, tmp_path / "deployments", tmp_path / "out")

    assert codes == [1, 3]
    missing, found = case_of(other), case_of(trained)
    out = capsys.readouterr().out
    assert out.startswith(f"REGRESSED {missing}: it has a baseline and no candidate\n")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {found, missing}
    assert [child.tag for child in _cases(tmp_path / "out" / missing / "junit.xml")["candidate"]] == ["failure"]
    assert read_report(tmp_path / "out" / found).gate is not None


def test_a_candidate_without_baseline_ends_it_before_anything_is_measured(
    typed: _Typed, shelf: Shelf, trained: Bundle, remake: Remake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.root, tmp_path / "deployments" / "a")
    shutil.copytree(remake({"model": "zebra"}).root, tmp_path / "deployments" / "z")

    with pytest.raises(BaselineError, match="no baseline was accepted for zebra--ort-cpu"):
        typed.accepted(shelf.root, tmp_path / "deployments")

    assert capsys.readouterr().out == ""


def test_a_damaged_candidate_among_others_is_an_error_and_is_not_passed_over(
    typed: _Typed, shelf: Shelf, trained: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(trained.root, tmp_path / "deployments" / "a")
    (tmp_path / "deployments" / "a" / "model.onnx").write_bytes(b"")

    with pytest.raises(IntegrityError):
        typed.accepted(shelf.root, tmp_path / "deployments")


def test_what_a_killed_run_has_left_beside_a_candidate_is_none(
    typed: _Typed, shelf: Shelf, trained: Bundle, tmp_path: Path
) -> None:
    bundle = tmp_path / ".ci" / "deployments" / "tiny" / "bundle"  # a hidden folder that is typed is looked into
    for folder in (bundle, temporary_beside(bundle), torn := temporary_beside(bundle)):
        shutil.copytree(trained.root, folder)
    (torn / "model.onnx").unlink()

    assert typed.accepted(shelf.root, tmp_path / ".ci" / "deployments") == [3]


@pytest.mark.parametrize(
    ("codes", "allowed", "code"),
    [
        ([0, 3], False, 3),
        ([0, 3], True, 0),
        ([3, 4], True, 4),
        ([3, 1, 8], True, 8),
        ([4, 1], False, 1),
        ([0], False, 0),
    ],
)
def test_the_worst_code_of_all_cases_is_what_the_command_ends_with(
    codes: list[int], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, allowed: bool
) -> None:
    import typer

    monkeypatch.setattr(gating, "_gate_accepted", lambda *_: codes)

    with pytest.raises(typer.Exit) as raised:
        gating.gate(tmp_path, tmp_path, allow_inconclusive=allowed)

    assert raised.value.exit_code == code


# As typed


def _said(end: Done) -> str:
    """What a command printed that went well."""
    assert (end.returncode, end.stderr) == (0, "")
    return end.stdout


def test_accepting_says_what_was_accepted(as_typed: _AsTyped, trained: Bundle) -> None:
    said = _said(as_typed.ends["accept"])

    assert said == f"accepted {case_of(trained)}  {trained.sha256[:12]}  the first of its case\n"
    assert Shelf(as_typed.baselines).accepted(case_of(trained)).sha256 == trained.sha256


@pytest.mark.parametrize(
    ("before", "verdict", "changes", "told"),
    [
        (None, None, {}, "the first of its case"),
        ("a", None, {}, "the same bundle as before"),
        ("b", None, {}, "not compared: what was accepted before answers something else"),
        ("b", "ok", {"latency p50": -0.031, "size": 0.5}, "latency p50 -3.1 %"),
        ("b", "unfit", {"size": 0.5}, "latency p50 could not be compared: the machine was unfit"),
    ],
)
def test_what_is_accepted_is_told_beside_what_was(
    before: str | None, verdict: str | None, changes: dict[str, float], told: str
) -> None:
    figures = Figures(machine_class="m", latency_p50_s=1, size_bytes=1, accuracy=1, test_images="t")
    line = HistoryLine(
        time=datetime.now(UTC), bundle="a", reason="why", figures=figures, changes=changes, verdict=verdict
    )
    earlier = [] if before is None else [line.model_copy(update={"bundle": before, "verdict": None})]

    assert _beside_before(History((*earlier, line))) == told


def test_what_was_accepted_is_listed_with_its_reason(as_typed: _AsTyped, trained: Bundle) -> None:
    heads, row = _said(as_typed.ends["list"]).splitlines()

    assert heads.split()[:2] == ["case", "accepted"]
    assert row.startswith(f"{case_of(trained)}  ")
    assert row.endswith("  the first [bold]")
    assert "100.00 %" in row


def test_where_nothing_was_accepted_the_list_says_so(as_typed: _AsTyped) -> None:
    assert _said(as_typed.ends["list of nothing"]) == "nothing was accepted in empty\n"


def test_measuring_tells_every_figure_and_writes_the_record(as_typed: _AsTyped, trained: Bundle) -> None:
    lines = _said(as_typed.ends["measure"]).splitlines()
    record = json.loads(as_typed.record.read_text(encoding="utf-8"))

    assert lines[0] == "net.py:tiny for ort-cpu, float"
    assert lines[-1] == f"  {as_typed.record}"
    assert any(re.match(r"top1 +100\.00 % on 72 images$", line) for line in lines)
    assert any(re.match(rf"cores +{as_typed.core}$", line) for line in lines)
    assert len(record["measurement"]["processes"]) == 3
    assert record["subject"]["bundle_sha256"] == trained.sha256


_CHEAP = """
from functools import partial
from benchmarks.pairs import paired_processes
from benchmarks.statistics.margins import EFFORTS, Effort
from pipeline.cli.main import main

EFFORTS["quick"] = Effort(processes=1, looks=1, alpha=0.05, memory_processes=1)
few = {"target_s": 0.05, "min_pairs": 16, "max_pairs": 16, "warmup_s": 0.0, "warmup_limit": 40}
paired_processes.PairProtocol = partial(paired_processes.PairProtocol, **few)
main()
"""
"""The command with fewer and shorter processes: with six of each it takes a quarter of a minute."""


def test_a_gate_as_typed_ends_with_the_code_of_its_report(
    workshop: Path, environment: dict[str, str], trained: Bundle, worse: Bundle, tmp_path: Path
) -> None:
    typed = (
        "gate", str(trained.root), str(worse.root), "--quick", "--data", "colours", "--threads", "1",
        "--out", str(tmp_path), "--margin", "latency_p50=30%",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _CHEAP, *typed], capture_output=True, text=True, check=False, cwd=workshop,
        env=environment,
    )  # fmt: skip
    report = read_report(tmp_path)

    assert (done.returncode, done.stderr) == (8, "")
    assert done.stdout.splitlines()[0] == report.verdict.sentence
    assert report.gate is not None
    assert sorted((point.kind, point.pairs) for point in report.gate.processes) == [("control", 16), ("pair", 16)]
    assert next(row.limit for row in report.gate.metrics if row.name == "latency p50") == 0.3


@pytest.mark.slow
def test_a_quick_gate_as_typed_has_as_many_processes_as_its_effort_says(
    edgewright: Edgewright, trained: Bundle, worse: Bundle, tmp_path: Path
) -> None:
    done = edgewright(
        "gate", str(trained.root), str(worse.root), "--quick", "--data", "colours", "--out", str(tmp_path)
    )  # fmt: skip
    gate = read_report(tmp_path).gate

    assert done.returncode == 8, done.stderr
    assert all(line.startswith("  pairs") for line in done.stderr.splitlines())  # how far it is, where it takes long
    assert gate is not None
    assert sorted(point.kind for point in gate.processes) == ["control"] * 4 + ["pair"] * 7


# deploy with a baseline


def test_a_run_with_an_accepted_baseline_puts_the_gates_verdict_first(
    tiny_recipe: Recipe, given: Given, shelf: Shelf, trained: Bundle, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The accepted one knows the colours; the run's has hardly learnt anything and is caught."""

    def options(*, place: Workplace) -> GateOptions:
        assert place is HERE
        return given()

    monkeypatch.setattr(publish, "GateOptions", options)
    schedule = tiny_recipe.distill.teacher_schedule.model_copy(update={"epochs": 1, "learning_rate": 1e-9})
    recipe = tiny_recipe.model_copy(
        update={
            "skip": ("distill", "prune"),
            "baseline": tiny_recipe.baseline.model_copy(update={"schedule": schedule}),
            "build": tiny_recipe.build.model_copy(update={"precision": "float"}),
        }
    )
    store = Store(tmp_path / "store")

    (run,) = deploy(
        Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None),
        out=tmp_path / "out",
        shelf=shelf,
    )
    report = read_report(tmp_path / "out")

    assert run.exit_code == 8
    assert report.verdict.status == "regressed"
    assert report.verdict.sentence.startswith("REGRESSED net.py:tiny for ort-cpu: accuracy ")
    assert report.gate is not None
    assert (report.gate.against, report.gate.baseline) == ("accepted", trained.sha256)
    assert report.gate.candidate == read_bundle(tmp_path / "out" / "bundle").sha256
    row = report.stage("build")
    assert row is not None
    assert row.accuracy.value < 0.9
