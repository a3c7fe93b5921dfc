"""The command as it is typed: what it prints, what it ends with, and how it ends badly."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pipeline import __version__
from pipeline.catalog import TARGETS
from pipeline.cli.main import app
from pipeline.recipe.reading import read_recipe
from pipeline.report.render import read_report

if TYPE_CHECKING:
    from collections.abc import Iterator

Done = subprocess.CompletedProcess[str]
Edgewright = Callable[..., Done]
TryAll = Callable[..., dict[str, dict[str, Any]]]
Golden = Callable[[str, str], None]
Deployed = Any
"""The conftest's: what one run printed, and where its results and its store lie."""

SCRIPT = Path(sys.executable).with_name("edgewright")
COMMANDS = sorted(typer.main.get_command(app).commands)

HEAVY = ("torchvision", "timm", "onnx", "onnxruntime", "scipy", "sklearn", "matplotlib")
"""Besides torch: each takes a second and more to import, and none is needed to find a mistake."""

USAGE_ERRORS: dict[str, tuple[str, ...]] = {
    "unknown-command": ("deplo", "net.py:tiny"),
    "unknown-option": ("deploy", "net.py:tiny", "--dta", "colours"),
    "option-without-value": ("deploy", "net.py:tiny", "--data"),
    "seed-that-is-no-number": ("deploy", "net.py:tiny", "--seed", "one"),
    "a-word-too-many": ("deploy", "net.py:tiny", "net.py:tiny"),
    "no-model": ("deploy",),
    "unknown-model": ("deploy", "resnet5o"),
    "recipe-that-is-not-there": ("deploy", "--recipe", "nowhere.yaml"),
    "recipe-that-is-no-yaml": ("deploy", "--recipe", "no_yaml.yaml"),
    "unknown-key-in-recipe": ("deploy", "--recipe", "typo.yaml"),
    "unknown-key-typed": ("deploy", "net.py:tiny", "--set", "data.sourc=colours"),
    "unknown-value-typed": ("deploy", "net.py:tiny", "--set", "export.method=median"),
    "set-without-equals": ("deploy", "net.py:tiny", "--set", "data.source"),
    "set-that-is-no-yaml": ("deploy", "net.py:tiny", "--set", "seed=[1"),
    "unknown-stage-skipped": ("deploy", "net.py:tiny", "--skip", "distill,prun"),
    "stage-that-cannot-be-skipped": ("deploy", "net.py:tiny", "--skip", "export"),
    "unknown-target": ("deploy", "net.py:tiny", "--target", "ort-cp"),
    "several-targets-one-out": ("deploy", "net.py:tiny", "--target", "ort-cpu", "--target", "ort-cpu", "--out", "x"),
    "model-file-that-is-not-there": ("deploy", "nett.py:tiny"),
    "model-file-without-factory": ("deploy", "net.py"),
    "model-file-without-such-a-factory": ("deploy", "net.py:tyni"),
    "model-file-that-is-no-python": ("deploy", "broken.py:net"),
    "data-that-is-not-there": ("deploy", "net.py:tiny", "--data", "colour"),
    "data-that-is-a-file": ("deploy", "net.py:tiny", "--data", "net.py"),
    "data-that-is-empty": ("deploy", "net.py:tiny", "--data", "empty"),
    "class-that-train-lacks": ("deploy", "net.py:tiny", "--data", "lacking"),
    "image-that-is-cut": ("deploy", "net.py:tiny", "--data", "damaged"),
    "images-that-are-cut": ("deploy", "net.py:tiny", "--data", "ruined"),
    "weights-that-are-not-there": ("deploy", "net.py:tiny", "--data", "colours", "--weights", "nowhere.pth"),
    "weights-of-an-unknown-kind": ("deploy", "net.py:tiny", "--data", "colours", "--weights", "net.py"),
    "weights-that-are-cut": ("deploy", "net.py:tiny", "--data", "colours", "--weights", "cut.safetensors"),
    "weights-that-no-one-has": ("deploy", "net.py:tiny", "--data", "colours", "--weights", "pretrained"),
    "explained-model-that-is-unknown": ("explain", "resnet5o"),
    "report-that-is-not-there": ("report", "empty"),
    "verify-of-nothing": ("verify",),
}
"""What may be typed wrongly, as it is typed in the workshop."""

_AS_A_PROCESS = (
    "unknown-command",
    "unknown-option",
    "no-model",
    "unknown-key-in-recipe",
    "model-file-without-such-a-factory",
    "image-that-is-cut",
)
"""Those that are typed in processes of their own too: all of them take the same way."""


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n")


# What it teaches


def test_help_lists_every_command_with_what_it_does(edgewright: Edgewright) -> None:
    done = edgewright("--help")
    listed = dict(re.findall(r"^  (\w+) +(\S.*)$", done.stdout.partition("Commands:")[2], flags=re.MULTILINE))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(listed) == COMMANDS


def test_help_tells_what_a_command_does_to_the_end(edgewright: Edgewright) -> None:
    told = edgewright("--help").stdout.partition("Commands:")[2].splitlines()
    assert [line for line in told if line.endswith("...")] == []


def test_help_starts_with_commands_that_can_be_typed_as_they_stand(edgewright: Edgewright) -> None:
    shown = re.findall(r"^ +(edgewright \w+ .*?)(?:  |$)", edgewright("-h").stdout, flags=re.MULTILINE)
    assert len(shown) >= 3
    assert {line.split()[1] for line in shown} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_says_what_it_does_and_what_each_option_is_for(edgewright: Edgewright, command: str) -> None:
    done = edgewright(command, "-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: edgewright {command} ")
    for option in re.findall(r"^  (--[\w-]+)(?: [A-Z=]+)?( .*)?$", done.stdout, flags=re.MULTILINE):
        assert option[1].strip() or re.search(rf"{option[0]}.*\n {{10,}}\S", done.stdout), option[0]


def test_without_a_command_it_shows_its_help_and_ends_with_2(edgewright: Edgewright) -> None:
    done = edgewright()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == edgewright("--help").stdout


def test_version_is_the_packages(script: Edgewright) -> None:
    done = script("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"edgewright {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("edgewright ba", {"baseline"}),
        ("edgewright baseline ac", {"accept"}),
        ("edgewright deploy resnet1", {"resnet18", "resnet101", "resnet152"}),
        ("edgewright deploy yolo/x-t", {"yolo/x-tiny"}),
        ("edgewright deploy resnet18 --target ort-cu", {"ort-cuda"}),
        ("edgewright deploy resnet18 --recip", {"--recipe"}),
    ],
)
def test_a_shell_is_offered_what_fits(edgewright: Edgewright, words: str, offered: set[str]) -> None:
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = edgewright(_EDGEWRIGHT_COMPLETE="complete_bash", **asked)
    assert set(done.stdout.split()) == offered


def test_models_are_listed_one_a_line(edgewright: Edgewright) -> None:
    done = edgewright("models")
    assert done.returncode == 0
    names = _lines(done.stdout)
    assert {"resnet18", "resnet50", "mobilenet_v2"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(name == name.strip() and " " not in name for name in names)
    assert done.stderr in {"", "timm/NAME needs the extra: pip install 'edgewright[timm]'\n"}


def test_targets_are_listed_with_what_they_are_and_whether_they_can_be_built_here(edgewright: Edgewright) -> None:
    done = edgewright("targets")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in _lines(done.stdout)] == list(TARGETS)
    ort = next(line for line in _lines(done.stdout) if line.startswith("ort-cpu"))
    assert re.fullmatch(r"ort-cpu +ONNX Runtime on the CPU +can be built here", ort)


# What is typed wrongly


@pytest.fixture(scope="module")
def told(
    try_all: TryAll, workshop: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """How each usage error ends."""
    own = {**environment, "EDGEWRIGHT_CACHE": str(tmp_path_factory.mktemp("cache"))}
    return try_all(USAGE_ERRORS, ["torch", *HEAVY], workshop, own)


@pytest.mark.parametrize("name", USAGE_ERRORS)
def test_what_is_typed_wrongly_ends_with_2_and_one_message(
    told: dict[str, dict[str, Any]], golden: Golden, name: str
) -> None:
    end = told[name]
    assert (end["code"], end["out"]) == (2, "")
    assert "Traceback" not in end["err"]
    golden(f"cli/{name}.txt", end["err"])


@pytest.mark.parametrize("name", _AS_A_PROCESS)
def test_what_is_typed_wrongly_ends_the_process_in_the_same_way(
    told: dict[str, dict[str, Any]], edgewright: Edgewright, name: str
) -> None:
    done = edgewright(*USAGE_ERRORS[name])
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told[name]["err"])


def test_a_command_that_hangs_is_ended_and_the_next_has_its_own_code(edgewright: Edgewright, tmp_path: Path) -> None:
    """Of the tests' own means: what hangs must not be waited for, nor be taken for what is typed next."""
    os.mkfifo(tmp_path / "recipe.yaml")

    with pytest.raises(subprocess.TimeoutExpired):
        edgewright("deploy", "--recipe", str(tmp_path / "recipe.yaml"), within_s=0.3)

    assert edgewright("models", "--nonsense").returncode == 2


def test_the_script_itself_ends_in_the_same_way(edgewright: Edgewright, script: Edgewright) -> None:
    done, alone = (run(*USAGE_ERRORS["image-that-is-cut"]) for run in (edgewright, script))
    assert (alone.returncode, alone.stdout, alone.stderr) == (done.returncode, done.stdout, done.stderr)


def test_what_is_typed_wrongly_is_told_without_torch(told: dict[str, dict[str, Any]]) -> None:
    assert [name for name, end in told.items() if "torch" in end["imported"]] == []


def test_what_is_typed_wrongly_is_told_before_anything_heavy_is_imported(told: dict[str, dict[str, Any]]) -> None:
    assert {library for end in told.values() for library in end["imported"]} == set()


def test_what_needs_no_network_answers_without_torch(
    try_all: TryAll, workshop: Path, environment: dict[str, str], deployed: Deployed, tmp_path: Path
) -> None:
    shutil.copytree(deployed.out, tmp_path / "out")
    asked = {
        "models": ("models",),
        "targets": ("targets",),
        "doctor": ("doctor",),
        "recipe": ("recipe", "--recipe", "recipe.yaml"),
        "explain": ("explain", "--recipe", "recipe.yaml"),
        "verify": ("verify", str(deployed.out / "bundle")),
        "report": ("report", str(tmp_path / "out")),
    }
    ends = try_all(asked, ["torch"], workshop, {**environment, "EDGEWRIGHT_CACHE": str(deployed.cache)})
    assert {name: (end["code"], end["imported"]) for name, end in ends.items()} == {name: (0, []) for name in asked}


@pytest.mark.parametrize("place", ["first", "last"])
def test_debug_shows_where_an_error_came_from_and_then_the_same_message(edgewright: Edgewright, place: str) -> None:
    typed = ("deploy", "--set", "data.source")
    plain = edgewright(*typed)
    debug = edgewright(*(("--debug", *typed) if place == "first" else (*typed, "--debug")))
    assert (debug.returncode, debug.stdout) == (2, "")
    assert debug.stderr.startswith("Traceback (most recent call last):\n")
    assert debug.stderr.endswith("\n" + plain.stderr)


# recipe and explain


def test_a_printed_recipe_is_valid_input_and_prints_the_same_again(
    edgewright: Edgewright, workshop: Path, tmp_path: Path
) -> None:
    first = edgewright("recipe", "net.py:tiny", "--data", "colours", "--seed", "3", "--quick")
    (tmp_path / "mine.yaml").write_text(first.stdout, encoding="utf-8")
    again = edgewright("recipe", "--recipe", str(tmp_path / "mine.yaml"))
    assert (first.returncode, again.returncode) == (0, 0)
    assert again.stdout == first.stdout
    recipe = read_recipe(tmp_path / "mine.yaml", {})
    assert (recipe.model, recipe.data.source, recipe.seed) == ("net.py:tiny", "colours", 3)


def test_a_printed_recipe_leaves_nothing_open_that_the_model_or_the_data_decide(edgewright: Edgewright) -> None:
    value = yaml.safe_load(edgewright("recipe", "--recipe", "recipe.yaml").stdout)
    assert value["input"] == {
        "size": [16, 16],
        "resize": "squash",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "interpolation": "bilinear",
        "channels": "RGB",
        "fill": None,
        "place": None,
    }
    assert value["baseline"]["schedule"]["epochs"] == 1
    assert value["distill"]["teachers"] == ["net.py:tiny"]


def test_explain_says_of_an_empty_store_that_nothing_ever_ran(
    edgewright: Edgewright, golden: Golden, tmp_path: Path
) -> None:
    done = edgewright("explain", "--recipe", "recipe.yaml", "--skip", "", cache=tmp_path)
    assert done.returncode == 0
    golden("cli/explain-of-an-empty-store.txt", done.stdout)
    assert not (tmp_path / "artifacts").exists()


def test_explain_says_after_a_run_that_everything_is_there(edgewright: Edgewright, deployed: Deployed) -> None:
    done = edgewright("explain", "--recipe", "recipe.yaml", cache=deployed.cache)
    assert [line.split() for line in _lines(done.stdout)] == [
        ["distill", "skipped", "skipped", "on", "request"],
        ["prune", "skipped", "skipped", "on", "request"],
        ["baseline", "cached"],
        ["calibrate", "cached"],
        ["export", "cached"],
        ["build", "cached"],
    ]


def test_explain_names_the_key_that_was_changed(edgewright: Edgewright, deployed: Deployed, golden: Golden) -> None:
    done = edgewright("explain", "--recipe", "recipe.yaml", "--set", "export.method=minmax", cache=deployed.cache)
    golden("cli/explain-of-a-change.txt", done.stdout)


# deploy


def test_a_run_prints_every_stage_its_verdict_and_where_everything_is(deployed: Deployed) -> None:
    lines = _lines(deployed.done.stdout)
    report = read_report(deployed.out)
    assert lines[0] == "net.py:tiny on colours for ort-cpu"
    assert lines[1] == "  note: tiny: no weights were given"
    stages = ["baseline", "calibrate", "export", "build"]
    assert [line.split()[0] for line in lines[2:6]] == stages
    assert re.fullmatch(r"  took [\w. ]+: .*\bmeasuring [\d]+[\w. ]* s.*", lines[6])
    assert {"starting up", "bundle", "reports", "measuring"} <= report.phases_s.keys()
    assert "  of --budget 0.0 s: no INT8 form is begun after it" in lines[7]
    assert report.verdict.sentence in lines
    names = (
        "bundle",
        "report.json",
        "report.md",
        "report.html",
        "junit.xml",
        "training.csv",
        "tensorboard",
        "recipe.yaml",
        "network.safetensors",
    )
    places = [deployed.out / name for name in names]
    assert [line.strip().rstrip("/") for line in lines[-len(places) - 1 : -1]] == [str(place) for place in places]
    assert all(place.exists() for place in places)
    assert lines[-1] == f"  bundle sha256 {report.bundle.sha256}"


def test_the_table_of_a_run_has_the_figures_of_its_report(deployed: Deployed) -> None:
    from pipeline.report.texts import STAGE_COLUMNS, stage_cells

    rows = [re.split(r" {2,}", line) for line in _lines(deployed.done.stdout)]
    for row in read_report(deployed.out).stages:
        cells = [cell for cell in stage_cells(row) if cell]
        assert any(" ".join(found).split() == " ".join(cells).split() for found in rows), row.name
    assert any(" ".join(found).split() == " ".join(STAGE_COLUMNS).split() for found in rows)


def test_into_a_pipe_go_plain_letters_and_whole_lines(deployed: Deployed) -> None:
    for text in (deployed.done.stdout, deployed.done.stderr):
        assert "\x1b" not in text
        assert "\r" not in text
        assert text == "" or text.endswith("\n")


def test_a_run_writes_no_warnings_of_its_libraries(deployed: Deployed) -> None:
    assert "Warning" not in deployed.done.stderr
    assert "Traceback" not in deployed.done.stderr


def test_a_second_run_takes_everything_from_the_store_and_says_so(
    edgewright: Edgewright, deployed: Deployed, tmp_path: Path
) -> None:
    done = edgewright("deploy", "--recipe", "recipe.yaml", "--out", str(tmp_path), cache=deployed.cache)
    lines = _lines(done.stdout)
    assert all(line.endswith("from the store") for line in lines[2:6])
    assert lines[6] == "nothing to do: every stage and every figure came from the store"
    assert lines[-1] == _lines(deployed.done.stdout)[-1]


@pytest.mark.slow  # a run; test_console.py has the ways of printing, test_gating.py a list with such a name
def test_names_with_brackets_are_printed_as_they_are(
    edgewright: Edgewright, deployed: Deployed, workshop: Path, tmp_path: Path
) -> None:
    # The library that colours the output reads [bold] and [/bold] as marks. Another place is the same data.
    folder = tmp_path / "nets [bold]"
    folder.mkdir()
    shutil.copy(workshop / "net.py", folder / "net.py")
    shutil.copytree(workshop / "colours", tmp_path / "photos [red]")
    network = "nets [bold]/net.py:tiny"
    typed = ("--recipe", str(workshop / "recipe.yaml"), "--data", "photos [red]", "--out", "results [i]")
    done = edgewright(
        "deploy", network, *typed, "--set", f"distill.teachers=['{network}']", cwd=tmp_path, cache=deployed.cache
    )
    assert done.returncode == 0, done.stderr
    assert _lines(done.stdout)[0] == "nets [bold]/net.py:tiny on photos [red] for ort-cpu"
    assert "  results [i]/report.json" in _lines(done.stdout)


def test_results_that_cannot_be_put_where_they_shall_are_told_before_the_work_and_not_after_it(
    edgewright: Edgewright, deployed: Deployed
) -> None:
    # net.py is a file: no folder can be made of it, and a real run takes hours.
    done = edgewright("deploy", "--recipe", "recipe.yaml", "--out", "net.py", cache=deployed.cache)
    assert done.returncode == 2
    assert done.stderr.startswith("error: net.py: ")
    assert "baseline" not in done.stdout


def test_a_class_whose_name_is_no_text_is_a_mistake_in_the_data_and_no_defect(
    edgewright: Edgewright, workshop: Path, tmp_path: Path
) -> None:
    shutil.copytree(workshop / "ruined" / "val", tmp_path / "photos" / "val")
    try:
        (tmp_path / "photos/val/red").rename(tmp_path / os.fsdecode(b"photos/val/r\xffd"))
    except OSError:
        pytest.skip("this file system has no names but texts")
    done = edgewright("explain", "net.py:tiny", "--data", str(tmp_path / "photos"), "--weights", "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path / 'photos'}")


# report and verify


def test_report_writes_every_rendering_as_deploy_wrote_it(
    edgewright: Edgewright, deployed: Deployed, tmp_path: Path
) -> None:
    shutil.copy(deployed.out / "report.json", tmp_path)
    done = edgewright("report", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    names = ["report.json", "report.md", "report.html", "junit.xml", "training.csv"]
    assert _lines(done.stdout) == [str(tmp_path / name) for name in names]
    for name in names:
        assert (tmp_path / name).read_bytes() == (deployed.out / name).read_bytes()


def test_report_refuses_what_is_no_report_of_ours(edgewright: Edgewright, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}", encoding="utf-8")
    done = edgewright("report", ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == "error: report.json: this is no report of ours\n  got: edgewright: Field required\n"


def test_verify_tells_an_intact_bundle_with_its_identity(edgewright: Edgewright, deployed: Deployed) -> None:
    done = edgewright("verify", str(deployed.out / "bundle"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"intact  sha256 {read_report(deployed.out).bundle.sha256}\n"


def test_a_signed_bundle_is_told_and_refused_without_its_signature(
    edgewright: Edgewright, deployed: Deployed, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(deployed.out / "bundle", tmp_path / "bundle"))
    private = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "pub.pem").write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    demand = ("verify", "bundle", "--require-signature", "--key", "pub.pem")
    refused = edgewright(*demand, cwd=tmp_path)
    signed = edgewright("sign", "bundle", "--key", "key.pem", cwd=tmp_path)
    plain, checked = edgewright("verify", "bundle", cwd=tmp_path), edgewright(*demand, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert refused.stderr.startswith("error: bundle: this bundle is not signed")
    assert (signed.returncode, signed.stderr, plain.returncode, checked.returncode) == (0, "", 0, 0)
    assert checked.stdout == f"intact  sha256 {read_report(deployed.out).bundle.sha256}\n{signed.stdout}"
    assert plain.stdout == checked.stdout.rstrip() + ", which was not checked: --require-signature --key PUBLIC does\n"
    (bundle / "signature.dsse.json").unlink()
    assert edgewright(*demand, cwd=tmp_path).returncode == 6


@pytest.mark.parametrize("alone", [("--require-signature",), ("--key", "pub.pem")])
def test_a_demand_without_a_key_or_a_key_without_a_demand_is_refused(
    edgewright: Edgewright, deployed: Deployed, alone: tuple[str, ...]
) -> None:
    done = edgewright("verify", str(deployed.out / "bundle"), *alone)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --require-signature and --key belong together\n"
        f"  got: {alone[0]} alone\n"
        "  fix: edgewright verify BUNDLE --require-signature --key pub.pem\n"
    )


def test_verify_refuses_a_bundle_with_a_changed_byte(
    edgewright: Edgewright, deployed: Deployed, golden: Golden, tmp_path: Path
) -> None:
    shutil.copytree(deployed.out / "bundle", tmp_path / "bundle")
    path = tmp_path / "bundle" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    done = edgewright("verify", "bundle", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (6, "")
    golden("cli/verify-of-a-changed-byte.txt", done.stderr)


@pytest.mark.parametrize("place", ["empty", "nowhere", "net.py"])
def test_verify_refuses_what_is_no_bundle(edgewright: Edgewright, golden: Golden, place: str) -> None:
    done = edgewright("verify", place)
    assert (done.returncode, done.stdout) == (6, "")
    assert "Traceback" not in done.stderr
    golden(f"cli/verify-of-{place}.txt", done.stderr)


# How it ends from outside


def _as_from_a_terminal() -> None:
    """Hang-ups end a command, whatever the tests themselves were started by."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def running(
    deployed: Deployed, workshop: Path, environment: dict[str, str], tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    """A run that goes on from the finished one and prunes for hours."""
    endless = ("--skip", "distill", "--set", "prune.schedule.epochs=1000000", "--out", str(tmp_path / "out"))
    process = subprocess.Popen(
        [str(SCRIPT), "deploy", "--recipe", "recipe.yaml", *endless],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=workshop,
        env={**environment, "EDGEWRIGHT_CACHE": str(deployed.cache)},
        preexec_fn=_as_from_a_terminal,  # noqa: PLW1509 - a test has no other threads
    )
    try:
        _wait_until_it_works(process, deployed.cache / "work")
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_until_it_works(process: subprocess.Popen[str], work: Path) -> None:
    end = time.monotonic() + 60
    while not any(path.is_dir() for path in work.glob("*")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1)  # until it is in the middle of it


def _without_progress(told: str) -> str:
    """What was told besides progress lines, which stand indented and only come where something takes its time."""
    return "".join(line for line in told.splitlines(keepends=True) if not line.startswith("  "))


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted; finished stages are kept, the same command goes on from there\n"),
        (signal.SIGTERM, 143, "ended by SIGTERM; finished stages are kept, the same command goes on from there\n"),
        pytest.param(  # as SIGTERM does
            signal.SIGHUP,
            129,
            "ended by SIGHUP; finished stages are kept, the same command goes on from there\n",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_run_that_is_ended_from_outside_ends_at_once_tidies_up_and_keeps_what_is_finished(
    running: subprocess.Popen[str],
    deployed: Deployed,
    edgewright: Edgewright,
    number: signal.Signals,
    code: int,
    message: str,
) -> None:
    running.send_signal(number)
    printed, told = running.communicate(timeout=5)
    assert (running.returncode, _without_progress(told)) == (code, message)
    assert _lines(printed)[-1].endswith("from the store")
    assert list((deployed.cache / "work").iterdir()) == []
    explained = edgewright("explain", "--recipe", "recipe.yaml", "--skip", "distill", cache=deployed.cache)
    assert {"baseline": "cached", "prune": "would run"}.items() <= {
        line.split()[0]: re.split(r" {2,}", line)[1] for line in _lines(explained.stdout)
    }.items()


def test_a_reader_that_goes_away_is_no_error(workshop: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [str(SCRIPT), "models"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=workshop,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # before the first line
    told = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), told) == (0, "")


# A full disk


def _on_a_small_disk(size: str, folder: Path, prepare: str, *command: str) -> list[str]:
    """The command, with a disk of its own at ``folder`` that is gone with it; ``prepare`` is run by a shell before."""
    script = f'mount -t tmpfs -o size={size} none "$0" && {{ {prepare}; }} && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", script, str(folder), *command]


_FILL = 'dd if=/dev/zero of="$0/filler" bs=1k 2>/dev/null; true'


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    probe = subprocess.run(_on_a_small_disk("8k", folder, "true", "true"), capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no disk of one's own can be mounted here: {probe.stderr.strip()}")
    return folder


def _end_on_a_full_disk(command: list[str], cwd: Path, env: dict[str, str]) -> Done:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env, timeout=120)
    assert done.returncode == 7, done.stderr
    assert done.stderr.startswith("error: ")
    assert [line for line in _lines(done.stderr)[1:] if not re.match(r"  (got|expected|fix): ", line)] == []
    assert re.search(r"full|No space left", done.stderr)
    return done


def test_a_store_on_a_full_disk_ends_with_7_before_anything_is_trained(
    disk: Path, workshop: Path, environment: dict[str, str]
) -> None:
    command = _on_a_small_disk("8k", disk, "true", str(SCRIPT), "explain", "--recipe", "recipe.yaml")
    done = _end_on_a_full_disk(command, workshop, {**environment, "EDGEWRIGHT_CACHE": str(disk / "cache")})
    assert done.stdout == ""


def test_embedded_data_on_a_full_disk_ends_with_7(disk: Path, workshop: Path, environment: dict[str, str]) -> None:
    command = _on_a_small_disk("64k", disk, "true", str(SCRIPT), "explain", "net.py:tiny")
    done = _end_on_a_full_disk(command, workshop, {**environment, "EDGEWRIGHT_CACHE": str(disk / "cache")})
    assert done.stdout == ""


def test_a_stage_that_fills_the_disk_ends_with_7_and_keeps_what_is_finished(
    disk: Path, workshop: Path, environment: dict[str, str], deployed: Deployed, tmp_path: Path
) -> None:
    prepare = f'cp -a "{deployed.cache}" "$0/cache"; {_FILL}'
    typed = ("deploy", "--recipe", "recipe.yaml", "--set", "export.method=minmax", "--out", str(tmp_path / "out"))
    command = _on_a_small_disk("8m", disk, prepare, str(SCRIPT), *typed)
    done = _end_on_a_full_disk(command, workshop, {**environment, "EDGEWRIGHT_CACHE": str(disk / "cache")})
    assert re.fullmatch(
        r"error: \S+: the disk is full\n  got: 0 MiB free\n"
        r"  expected: room for (this result, which takes more than \d+\.\d\d MiB|a note of some kilobytes, .*)\n"
        r"  fix: free some space, or put the store elsewhere with EDGEWRIGHT_CACHE; finished stages are kept\n",
        done.stderr,
    )
    assert not (tmp_path / "out").exists()


def test_results_on_a_full_disk_end_with_7(
    disk: Path, workshop: Path, environment: dict[str, str], deployed: Deployed
) -> None:
    typed = ("deploy", "--recipe", "recipe.yaml", "--out", str(disk / "out"))
    command = _on_a_small_disk("12k", disk, "true", str(SCRIPT), *typed)
    _end_on_a_full_disk(command, workshop, {**environment, "EDGEWRIGHT_CACHE": str(deployed.cache)})


def test_a_rendering_on_a_full_disk_ends_with_7(
    disk: Path, workshop: Path, environment: dict[str, str], deployed: Deployed
) -> None:
    prepare = f'cp "{deployed.out / "report.json"}" "$0"; {_FILL}'
    command = _on_a_small_disk("64k", disk, prepare, str(SCRIPT), "report", str(disk))
    done = _end_on_a_full_disk(command, workshop, environment)
    assert re.search(
        r"no room for the reports\n  got: \d+\.\d\d MiB free\n  expected: about \d+\.\d\d MiB\n", done.stderr
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("typed", ["models", pytest.param("targets", marks=pytest.mark.slow), "--version", "--help"])
def test_a_log_on_a_full_disk_ends_with_7(environment: dict[str, str], typed: str) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [str(SCRIPT), typed], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment
        )
    assert (done.returncode, done.stderr) == (7, "error: No space left on device\n")
