"""A few accidents of each kind that is quick, and that a campaign counts what goes otherwise than promised."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest

from benchmarks.reliability import edited_bundle as edited
from benchmarks.reliability import flipped_unfinished, hostile_input, tiny_job
from benchmarks.reliability import killed as killed_runs
from benchmarks.reliability.campaign import SMALLEST, Campaign, Sound, begin
from benchmarks.reliability.changed_keys import IRRELEVANT, RELEVANT, changed_keys
from benchmarks.reliability.edits import changed
from benchmarks.reliability.flipped_store import flipped_index, flipped_store
from benchmarks.reliability.full_disk import full_disk, full_disk_publishing, lacking_space, refused_calls
from benchmarks.reliability.further_jobs import BOXES
from benchmarks.reliability.killed import killed
from benchmarks.reliability.killed_publishing import evenly, killed_calls, killed_publishing
from benchmarks.reliability.little_memory import lacking_memory, little_memory
from benchmarks.reliability.mutated_records import mutated_records
from benchmarks.reliability.no_connection import connections, no_connection
from benchmarks.reliability.outcome import Outcome
from benchmarks.reliability.publisher import Publisher
from benchmarks.reliability.same_digest import SURROUNDINGS, named, same_digest
from benchmarks.reliability.sealed import identity
from benchmarks.reliability.seeded_defects import DEFECTS, seeded_defects
from benchmarks.reliability.signalled import signalled
from benchmarks.reliability.tiny_job import Ended, TinyJob, make_tiny_job
from benchmarks.reliability.together import together
from pipeline.artifact import ArtifactKind, sha256_of_json
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.progress import SilentProgress
from pipeline.recipe.reading import read_recipe
from pipeline.runner import publish
from pipeline.runner.deploy import deploy
from pipeline.store import KeyRecord, Store
from pipeline.upkeep.check import check

if TYPE_CHECKING:
    from pipeline.artifact import Json


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """One undisturbed run."""
    with begin(tmp_path_factory.mktemp("campaign"), seed=1) as begun:
        yield begun


@pytest.fixture
def bundled(given_speedup: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """One undisturbed run as far as store and bundle go, and without the stages that may be left out.

    In this process, which has the libraries loaded: what is edited, damaged and published is what any run leaves.
    ``begin``, with a run as users type it, is held by the slow tests alone, so by ``make test-full``.
    """
    job = make_tiny_job(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    (before, after) = recipe.read_text(encoding="utf-8").split("skip: [distill]")
    recipe.write_text(f"{before}skip: [distill, prune]{after}", encoding="utf-8")
    campaign = Campaign(job=job, digest="", wall_s=1.0, seed=1)
    monkeypatch.chdir(tmp_path)
    for writes in ("write_reports", "write_tensorboard"):
        monkeypatch.setattr(publish, writes, lambda *_, **__: ())
    store, progress = Store(campaign.cache), SilentProgress()
    plan = make_plan(read_recipe(Path("recipe.yaml"), {}), store, progress)
    deploy(Chain(plan, store, progress, lambda _: None), out=campaign.bundle.parent)
    return replace(campaign, digest=identity(campaign.bundle))


def _held(outcome: Outcome, tries: int) -> None:
    assert outcome.failures == []
    assert outcome.tries == tries


def test_the_quick_accidents_do_no_harm(bundled: Campaign) -> None:
    # One test: the undisturbed run that they share costs more than they do.
    _held(edited.edited_bundle(bundled, 14), 14)
    _held(edited.mutated_manifests(bundled, 10), 10)
    _held(hostile_input.mutated_networks(bundled, 20), 20)
    _held(hostile_input.mutated_recipes(bundled, 20), 20)
    _held(flipped_index(bundled, 2), 2)
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here: publishing was not disturbed; all else did no harm")
    for written in bundled.bundle.parent.iterdir():
        if written != bundled.bundle:
            written.unlink()  # only the bundle is published below
    with Publisher(bundled, _PUBLISHES_A_BUNDLE) as publisher:
        alone = replace(bundled, digest=identity(publisher.out / "bundle"))
        _held(killed_calls(alone, publisher, 8), 8)
        _held(refused_calls(alone, publisher, 4), 4)


_PUBLISHES_A_BUNDLE = """
import json
from pathlib import Path

from exporters.bundle import Contents, write_bundle
from exporters.ort_cpu.target import ORT_CPU
from pipeline.environment import this_machine
from pipeline.preprocess import PreprocessSpec
from pipeline.store import default_root, read_artifact

homes = default_root().glob("artifacts/*/artifact.json")
home = min(path.parent for path in homes if json.loads(path.read_text())["kind"] == "engine")
contents = Contents(
    model="x", task="classification", preprocess=PreprocessSpec(size=(16, 16)), classes=["a"], provenance={}
)

def run(out):
    write_bundle(read_artifact(home), ORT_CPU, this_machine(), contents, Path(out) / "bundle")
"""


@pytest.mark.slow
def test_runs_that_are_killed_ended_or_together_make_the_undisturbed_bundle(campaign: Campaign) -> None:
    _held(killed(campaign, 2), 2)
    _held(signalled(campaign, 6), 6)
    _held(together(campaign, [2]), 1)


@pytest.mark.slow
def test_changed_keys_records_and_surroundings_do_what_is_promised(campaign: Campaign) -> None:
    _held(changed_keys(campaign, len(RELEVANT) + len(IRRELEVANT)), len(RELEVANT) + len(IRRELEVANT))
    _held(mutated_records(campaign, 20), 20)
    _held(same_digest(campaign, len(SURROUNDINGS)), len(SURROUNDINGS))
    _held(no_connection(campaign, 1), 1)


@pytest.mark.slow
def test_every_flipped_bit_of_a_store_is_named_and_made_anew(campaign: Campaign) -> None:
    outcome = flipped_store(campaign, 1)
    assert outcome.failures == []
    assert outcome.tries > 20


@pytest.mark.slow
def test_every_flipped_bit_of_unfinished_work_is_told_and_made_anew(campaign: Campaign) -> None:
    tries = len(flipped_unfinished.LEFT)
    _held(flipped_unfinished.flipped_unfinished(campaign, tries), tries)


@pytest.mark.slow
def test_a_whole_publishing_is_disturbed_without_harm(campaign: Campaign) -> None:
    _held(killed_publishing(campaign, 8), 8)
    _held(full_disk_publishing(campaign, 8), 8)


@pytest.mark.slow
def test_full_disks_and_little_memory_end_with_what_was_needed(campaign: Campaign) -> None:
    _held(full_disk(campaign, 4), 4)
    _held(little_memory(campaign, 2), 2)


@pytest.mark.slow
def test_seeded_defects_are_seen(campaign: Campaign) -> None:
    outcome = seeded_defects(campaign, len(DEFECTS))
    assert outcome.failures == []
    assert outcome.tries >= 40


@pytest.mark.slow
def test_a_bundle_that_was_not_edited_is_a_failure(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edited, "EDITS", (lambda _root, _chance: "nothing",))
    outcome = edited.edited_bundle(campaign, 2)
    assert outcome.failures == ["nothing: verify.py 0, edgewright verify 0: ''"] * 2


@pytest.mark.parametrize(
    ("end", "right"),
    [
        (Ended(code=0, out="", err=""), True),
        (Ended(code=2, out="", err="error: no\n"), True),
        (Ended(code=2, out="", err="error: no\nerror: no\n"), False),
        (Ended(code=2, out="", err="Traceback\nerror: no\n"), False),
        (Ended(code=2, out="", err=""), False),
        (Ended(code=70, out="", err="error: a defect\n"), False),
        (Ended(code=-1, out="", err="the process ended with -11"), False),
    ],
)
def test_anything_but_one_error_with_a_documented_code_is_a_failure(end: Ended, *, right: bool) -> None:
    outcome = Outcome(promise="")
    hostile_input._judge(outcome, ["x"], [end])
    assert (outcome.tries, not outcome.failures) == (1, right)


@pytest.mark.parametrize(
    ("code", "err", "right"),
    [
        (7, "error: x: full\n  got: 0 MiB free\n", False),
        (7, "error: x: full\n  got: 0 MiB free\n  expected: room for a note\n", True),
        (7, "some note\nerror: x: full\n  expected: 2.00 MiB for the engine\n", True),
        (7, "error: x: full\n", False),
        (7, "error: x: full\n  expected: 2.00 MiB\nerror: y\n", False),
        (7, "Traceback\nerror: x: full\n  expected: 2.00 MiB\n", False),
        (2, "error: x: full\n  expected: 2.00 MiB\n", False),
        (70, "error: a defect\n  got: No space left on device\n", False),
    ],
)
def test_a_full_disk_that_is_not_told_with_what_was_needed_is_a_failure(code: int, err: str, *, right: bool) -> None:
    assert (lacking_space(code, err) is None) == right


@pytest.mark.parametrize(
    ("code", "err", "right"),
    [
        (7, "error: out of memory\n  got: MemoryError; up to 90 MiB were in use\n", True),
        (7, "error: out of memory\n", False),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'\n", False),
        (70, "error: a defect\n  got: can't allocate memory\n", False),
    ],
)
def test_lack_of_memory_that_is_not_told_is_a_failure(code: int, err: str, *, right: bool) -> None:
    assert (lacking_memory(code, err) is None) == right


def test_a_flipped_bit_that_is_not_told_of_its_own_file_is_a_failure() -> None:
    left = Path("unfinished/0/observed")
    assert flipped_unfinished._untold(left, f"  {left} cannot be read, so that it is made anew: other bytes\n") is None
    for said in ("", f"  {left} was read\n", "  unfinished/1/observed cannot be read, so that it is made anew\n"):
        assert "was not told" in (flipped_unfinished._untold(left, said) or "")


class _EndsAtOnce:
    pid, returncode = 0, 0

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        del timeout
        return "  bundle sha256 0\n", ""

    def send_signal(self, number: signal.Signals) -> None: ...


class _Runs:
    """One that goes on until it is killed, or ends with a code and a bundle."""

    pid = 0

    def __init__(self, code: int | None, digest: str = "sound") -> None:
        self.returncode: int | None = None
        self._code, self._digest = code, digest
        self.is_sound = (code, digest) == (0, "sound")

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        if self._code is None and timeout is not None:
            raise subprocess.TimeoutExpired("deploy", timeout)
        self.returncode = -signal.SIGKILL if self._code is None else self._code
        return f"  bundle sha256 {self._digest}\n", "what it said"

    def send_signal(self, number: signal.Signals) -> None: ...


@pytest.mark.parametrize(
    ("second", "last", "failures"),
    [
        (_Runs(0), _Runs(0), []),
        (_Runs(70), _Runs(0), ["a run ended with 70: what it said"]),
        (_Runs(0, "other"), _Runs(0), ["a run made another bundle, other"]),
        (_Runs(0), _Runs(6), ["the next run ended with 6: what it said"]),
        (_Runs(0), _Runs(0, "other"), ["the next run made another bundle, other"]),
    ],
)
def test_a_run_that_ends_before_its_kill_has_to_end_well(
    paper: Campaign, monkeypatch: pytest.MonkeyPatch, second: _Runs, last: _Runs, failures: list[str]
) -> None:
    next_ones = [last, _Runs(0)] if last.is_sound else [last]
    runs = iter([_Runs(None), second, *next_ones, _Runs(None), _Runs(0), _Runs(0)])

    def deploy(_campaign: Campaign, _cache: Path, out: Path, _recipe: str) -> _Runs:
        out.mkdir(exist_ok=True)
        return next(runs)

    monkeypatch.setattr(Campaign, "deploy", deploy)
    monkeypatch.setattr(killed_runs, "kill", lambda _: None)
    monkeypatch.setattr(TinyJob, "store_failure", lambda *_: None)
    monkeypatch.setattr(Campaign, "left_temporary", lambda _: None)
    sounds = dict.fromkeys((SMALLEST, BOXES), Sound(digest="sound", wall_s=1.0))

    outcome = killed(replace(paper, sounds=sounds), 2)

    assert outcome.tries == 2
    assert [failure.partition(" s: ")[2] for failure in outcome.failures] == failures
    assert outcome.notes == ["1 more runs had ended before they were to be killed"]


def _stored(campaign: Campaign) -> None:
    """A store with an artifact of one file and one of three, a key and a record."""
    store = Store(campaign.cache)
    for count in (1, 3):
        with store.workspace() as folder:
            for number in range(count):
                (folder / f"file-{number}").write_text(f"{count} {number}", encoding="utf-8")
            made = store.commit(ArtifactKind.NETWORK, folder, {})
    components: dict[str, Json] = {"stage": "baseline"}
    store.remember(
        sha256_of_json(components), KeyRecord(artifact_sha256=made.sha256, components=components, wall_s=1.0, notes=())
    )
    store.put_record("latency", "0", {"p50_s": 1.0})


@pytest.mark.parametrize(("vouches", "unnamed"), [(False, []), (True, ["file-0", "file-0", "file-1", "file-2"])])
def test_each_file_of_an_artifact_is_flipped_where_nothing_else_of_it_is(
    paper: Campaign, monkeypatch: pytest.MonkeyPatch, *, vouches: bool, unnamed: list[str]
) -> None:
    _stored(paper)
    if vouches:
        monkeypatch.setattr("pipeline.store.FileEntry.of", lambda *_: ANY)

    def look(_job: TinyJob, cache: Path) -> tuple[int, set[str]]:
        named = {damage.path for damage in check(cache, repair=False).damaged}
        return 6 if named else 0, named

    monkeypatch.setattr(TinyJob, "check", look)
    for starts in ("deploy", "start"):
        monkeypatch.setattr(Campaign, starts, lambda *_: _Runs(0))
    monkeypatch.setattr(TinyJob, "store_failure", lambda *_: None)

    outcome = flipped_store(replace(paper, digest="sound"), 1)

    assert outcome.tries == 2 + 4 + 2
    missed = [failure for failure in outcome.failures if "was not named" in failure]
    assert sorted(failure.split("/")[-1].split()[0] for failure in missed) == unnamed
    unseen = [failure for failure in outcome.failures if "store check ended with 0" in failure]
    assert len(unseen) == len(set(unnamed))
    assert len(outcome.failures) == len(missed) + len(unseen)


@pytest.mark.parametrize("tries", [1, 4])
def test_unfinished_work_that_was_never_caught_is_a_failure(
    paper: Campaign, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    started = []

    def start(_campaign: Campaign, cache: Path, _out: Path) -> _EndsAtOnce:
        cache.mkdir(exist_ok=True)
        started.append(cache)
        return _EndsAtOnce()

    monkeypatch.setattr(flipped_unfinished, "_start", start)
    monkeypatch.setattr(flipped_unfinished, "kill", lambda _: None)
    monkeypatch.setattr(TinyJob, "store_failure", lambda *_: None)
    outcome = flipped_unfinished.flipped_unfinished(replace(paper, digest="0"), tries)

    assert outcome.tries == 0
    (failure,) = outcome.failures
    assert failure.startswith(f"only 0 of {tries} could be tried")
    assert all(kind in failure for kind in flipped_unfinished.LEFT[:tries])
    assert len(set(started)) == 1 + flipped_unfinished._MISSES


def test_a_run_that_hangs_is_killed_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = subprocess.Popen(
        ["sleep", "60"],  # noqa: S607
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    monkeypatch.setattr(flipped_unfinished, "_LIMIT_S", 0.05)
    with pytest.raises(subprocess.TimeoutExpired, match="that was to leave observed"):
        flipped_unfinished._wait_for(hangs, tmp_path, "observed")
    assert hangs.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("count", "chosen"), [(1, [0]), (2, [0, 2]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 4]), (9, 5)])
def test_of_many_some_are_chosen_evenly(count: int, chosen: list[int] | int) -> None:
    assert evenly(range(5), count) == (list(range(chosen)) if isinstance(chosen, int) else chosen)


def test_each_defect_has_a_name_of_its_own() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
    assert len(DEFECTS) >= 40


def test_commands_are_typed_one_after_the_other(paper: Campaign) -> None:
    first, second = paper.job.many(paper.cache, [("store", "path"), ("store", "gc")])
    assert first == Ended(code=0, out=f"{paper.cache}\n", err="")
    assert (second.code, second.out) == (2, "")


def test_a_command_that_ends_the_process_is_told_and_the_next_one_typed(
    paper: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_at_gc = "\nimport os\n_app = app\ndef app(args):\n    'gc' in args and os._exit(9)\n    _app(args=args)\n"
    monkeypatch.setattr(tiny_job, "_MANY", tiny_job._MANY.replace("\ncommands, ", f"{ends_at_gc}commands, "))
    first, second, third = paper.job.many(paper.cache, [("store", "path"), ("store", "gc"), ("store", "path")])
    assert (first.code, second.code) == (0, -1)
    assert second.err.startswith("the process ended with 9")
    assert third == first


def test_what_was_changed_is_never_the_same(paper: Campaign) -> None:
    content = bytes(100)
    assert all(changed(content, paper.chance(str(number))) != content for number in range(300))


def test_the_same_seed_makes_the_same_accidents(paper: Campaign) -> None:
    assert paper.chance("x").random() == paper.chance("x").random()
    assert paper.chance("x").random() != replace(paper, seed=2).chance("x").random()


def test_a_call_to_another_machine_is_seen_and_one_to_this_one_is_not(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    log.write_text(
        '12 connect(3, {sa_family=AF_UNIX, sun_path="/run/nscd/socket"}, 110) = -1 ENOENT\n'
        "12 sendto(3, [{nlmsg_len=20}], 20, 0, {sa_family=AF_NETLINK, nl_pid=0}, 12) = 20\n",
        encoding="utf-8",
    )
    assert connections(log) == []
    with log.open("a", encoding="utf-8") as file:
        file.write("13 connect(4, {sa_family=AF_INET6, sin6_port=htons(443)}, 28) = -1 ENETUNREACH\n")
        file.write('13 sendto(4, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(53)}, 16) = 1\n')
    assert connections(log) == ["connect AF_INET6", "sendto AF_INET"]


def test_a_word_is_found_in_contents_and_in_names_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "of-canary").mkdir()
    (tmp_path / "of-canary" / "x.canary-host").touch()
    (tmp_path / "text").write_text("by canary-user", encoding="utf-8")
    (tmp_path / "sound").write_text("by nobody", encoding="utf-8")
    assert named(tmp_path, ["canary-host", "canary-user", "of-canary"]) == [
        "the name of-canary has of-canary",
        "the name of-canary/x.canary-host has canary-host",
        "the name of-canary/x.canary-host has of-canary",
        "text names canary-user",
    ]


def test_so_many_changes_matter_and_so_many_do_not() -> None:
    assert len({change.name for change in RELEVANT}) >= 25
    assert len({change.name for change in IRRELEVANT}) >= 10
