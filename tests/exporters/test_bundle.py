"""The bundle: what is in it, what it gives away, and that no change to it goes unseen."""

from __future__ import annotations

import ast
import errno
import getpass
import json
import os
import platform
import random
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import edgewright
from exporters.bundle import Bundle, Contents, read_bundle, run_script, write_bundle
from exporters.device import verify
from exporters.ort_cpu.session import open_session
from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import Artifact, ArtifactKind, sha256_of_file
from pipeline.environment import Machine, this_machine
from pipeline.errors import IntegrityError, ParityError

if TYPE_CHECKING:
    from pipeline.subject import Parts

_VERIFY_EACH = """
import io, json, runpy, sys
verdicts = []
for folder in json.load(sys.stdin):
    sys.argv = [sys.argv[0], folder]
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as left:
        verdicts.append([left.code, sys.stderr.getvalue()])
    except BaseException as error:
        verdicts.append([None, repr(error)])
sys.stdout = sys.__stdout__
print(json.dumps(verdicts))
"""

_WATCHED_WRITE = """
import json, os, sys
from pathlib import Path

from exporters.bundle import Contents, write_bundle
from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import Artifact, ArtifactKind
from pipeline.environment import this_machine
from pipeline.preprocess import PreprocessSpec

home, out = Path(sys.argv[1]), Path(sys.argv[2])
engine = Artifact.from_json(json.loads((home / "artifact.json").read_text()), home)
contents = Contents(
    model="another", task="classification", preprocess=PreprocessSpec(size=(16, 16)), classes=["a"], provenance={}
)
seen = set()
def watch(event, arguments):
    if event.startswith(("os.", "shutil.", "open")):
        seen.add((out / "manifest.json").is_file())
sys.addaudithook(watch)
write_bundle(engine, ORT_CPU, this_machine(), contents, out)
print(sorted(seen))
"""

Change = Callable[[Path, random.Random], None]


@pytest.fixture(scope="module")
def bundle(engine: Artifact, contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    return write_bundle(engine, ORT_CPU, this_machine(), contents, out)


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may damage."""
    return Path(shutil.copytree(bundle.root, tmp_path / "copy"))


def _refused_by_read(root: Path) -> bool:
    try:
        read_bundle(root)
    except IntegrityError:
        return True
    return False


def _verdicts(script: Path, folders: list[Path]) -> list[tuple[int | None, str]]:
    """What the script ends with for each folder, run by a Python that has its standard library and nothing else."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.argv = [{str(script)!r}]\n{_VERIFY_EACH}"],
        input=json.dumps([str(folder) for folder in folders]),
        capture_output=True,
        text=True,
        check=True,
    )
    return [(code, told) for code, told in json.loads(done.stdout)]


def _verify(script: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=20)


# What is in it


def test_it_holds_the_files_the_manual_names_and_no_others(bundle: Bundle) -> None:
    names = {path.relative_to(bundle.root).as_posix() for path in bundle.root.rglob("*")}
    assert names == {
        "README.md", "bom.cdx.json", "classes.txt", "manifest.json", "model.onnx", "preprocess.json",
        "provenance.intoto.json", "run.py", "verify.py",
    }  # fmt: skip


def test_it_reads_back_as_what_was_written(bundle: Bundle, engine: Artifact, contents: Contents) -> None:
    assert bundle.classes == tuple(contents.classes)
    assert bundle.preprocess == contents.preprocess
    assert bundle.spec.to_json() == engine.facts["engine"]
    assert bundle.manifest["provenance"] == contents.provenance
    assert bundle.manifest["precision"] == "int8"
    assert read_bundle(bundle.root) == bundle


def test_its_identity_is_the_hash_of_its_manifest(bundle: Bundle) -> None:
    assert bundle.sha256 == sha256_of_file(bundle.root / "manifest.json")


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ("x86_64", ["x86_64", "amd64"]),
        ("aarch64", ["aarch64", "arm64"]),
        ("arm64", ["aarch64", "arm64"]),
        ("riscv64", ["riscv64"]),
    ],
)
def test_an_architecture_goes_by_all_its_names(
    engine: Artifact, contents: Contents, tmp_path: Path, architecture: str, told: list[str]
) -> None:
    machine = Machine(cpu="some", architecture=architecture, cores=2, ram_gib=4, isa=("avx2",), system="Linux")
    manifest = write_bundle(engine, ORT_CPU, machine, contents, tmp_path / "bundle").manifest
    assert manifest["machine"] == {"architectures": told, "isa": ["avx2"]}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("resnet50", "resnet50"),
        ("timm/efficientnet_b0", "timm/efficientnet_b0"),
        ("net.py:tiny", "net.py:tiny"),
        ("/home/somebody/net.py:tiny", "net.py:tiny"),
        ("..\\somebody\\net.py:tiny", "net.py:tiny"),
        ("/home/some:body/net.py:tiny", "net.py:tiny"),
        ("C:\\some:body\\net.onnx", "net.onnx"),
    ],
)
def test_a_model_is_called_what_it_was_typed_as_without_its_folder(
    engine: Artifact, contents: Contents, tmp_path: Path, typed: str, told: str
) -> None:
    given = replace(contents, model=typed, doubts=(f"fed wrongly? `edgewright preprocess {typed}` tries others",))
    written = write_bundle(engine, ORT_CPU, this_machine(), given, tmp_path / "bundle")
    assert written.manifest["model"] == told
    text = (written.root / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {told} for ort-cpu\n")
    assert f"\nDoubtful when it was made: fed wrongly? `edgewright preprocess {told}` tries others\n" in text


def test_no_name_and_no_doubt_makes_a_link_or_an_image_of_the_readme(
    engine: Artifact, contents: Contents, tmp_path: Path
) -> None:
    hostile = "![x](https://example.org/p.png)[y](javascript:z) <b> *a* \u202eb\n# c"
    given = replace(contents, model=hostile, assumed=(hostile,), doubts=(hostile, "mobilenet_v2 of __x__"))
    text = (write_bundle(engine, ORT_CPU, this_machine(), given, tmp_path / "b").root / "README.md").read_text()
    plain = r"!\[x\](https://example.org/p.png)\[y\](javascript:z) &lt;b> \*a\* \\u202eb # c"
    assert text.startswith(f"# {plain} for ort-cpu\n")
    assert text.count(plain) == 3
    assert r"mobilenet_v2 of \__x_\_" in text
    assert not re.search(r"(?<!\\)\]\(|<b>|\u202e", text)


@pytest.mark.parametrize(
    "name", ["tabby cat", "<b>", "a|b", 'a "quoted" one', "caf\u00e9", "\u72ac", "a\tb", " padded "]
)
def test_a_class_keeps_its_name(engine: Artifact, contents: Contents, tmp_path: Path, name: str) -> None:
    named = replace(contents, classes=("first", name, "last"))
    assert write_bundle(engine, ORT_CPU, this_machine(), named, tmp_path / "b").classes == ("first", name, "last")


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_class_name_with_a_rare_line_separator_stays_one_class(
    engine: Artifact, contents: Contents, tmp_path: Path, separator: str
) -> None:
    # A folder may be called so; were it two classes, every later one would go by its neighbour's name.
    classes = ("first", f"b{separator}c", "last")
    written = write_bundle(engine, ORT_CPU, this_machine(), replace(contents, classes=classes), tmp_path / "bundle")
    assert written.classes == classes


# What it gives away


def test_the_bytes_depend_on_neither_the_place_nor_the_time(
    bundle: Bundle, engine: Artifact, contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    again = write_bundle(engine, ORT_CPU, this_machine(), contents, Path("elsewhere", "bundle"))
    assert again.sha256 == bundle.sha256
    for path in bundle.root.iterdir():
        assert (again.root / path.name).read_bytes() == path.read_bytes()


def test_no_file_names_a_place_of_this_machine_or_the_folder_the_model_was_typed_with(
    bundle: Bundle, engine: Artifact, tiny_file: Path, tiny_data: Path
) -> None:
    places = {Path.home(), Path.cwd(), bundle.root.parent, engine.root, tiny_file.parent, tiny_data, Path(sys.prefix)}
    words = {str(place) for place in places if len(place.parts) > 1} | {"somebody"}
    for path in bundle.root.iterdir():
        content = path.read_bytes()
        assert [word for word in words if word.encode() in content] == [], path.name


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "README.md", "preprocess.json", "classes.txt", "bom.cdx.json", "provenance.intoto.json"],
)
def test_nothing_that_was_written_here_names_the_host_or_the_user(bundle: Bundle, name: str) -> None:
    # The scripts and the engine are copies: in them a short name such as `root` may stand by chance.
    words = re.findall(r"[\w-]+", (bundle.root / name).read_text(encoding="utf-8"))
    assert not {platform.node(), platform.node().partition(".")[0], getpass.getuser()} & set(words)


def test_the_scripts_are_this_projects_text_and_nothing_else(bundle: Bundle) -> None:
    assert (bundle.root / "verify.py").read_bytes() == Path(verify.__file__).read_bytes()
    script = (bundle.root / "run.py").read_text(encoding="utf-8")
    assert script == run_script(ORT_CPU, "classification")
    template = Path(verify.__file__).with_name("run.py.template").read_text(encoding="utf-8")
    before, *between, after = re.split(r"@@[A-Z]+@@", template.replace("@@NEEDS@@", "onnxruntime, numpy and Pillow"))
    assert script.startswith(before)
    assert script.endswith(after)
    assert [text for text in between if text not in script] == []


def test_no_text_holds_an_absolute_path(bundle: Bundle) -> None:
    for path in bundle.root.iterdir():
        if path.suffix == ".onnx":
            continue
        text = path.read_text(encoding="utf-8").removeprefix("#!/usr/bin/env python3\n")
        found = set(re.findall(r"(?<![\w.:/<])/\w[\w.-]*/\w+|\b[A-Za-z]:\\\w", text))
        assert found <= {"/proc/cpuinfo"}, path.name  # the kernel's own, the same on every machine


# How it is written


def test_what_stood_there_before_is_gone_and_nothing_is_left_beside_it(
    engine: Artifact, contents: Contents, tmp_path: Path
) -> None:
    out = tmp_path / "results" / "bundle"
    out.mkdir(parents=True)
    (out / "old.onnx").write_bytes(b"old")
    first = write_bundle(engine, ORT_CPU, this_machine(), contents, out)
    second = write_bundle(engine, ORT_CPU, this_machine(), contents, out)
    assert first.sha256 == second.sha256
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]
    assert not (out / "old.onnx").exists()


def test_a_bundle_that_could_not_be_written_leaves_the_old_one_as_it_was(
    engine: Artifact, contents: Contents, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    old = write_bundle(engine, ORT_CPU, this_machine(), contents, out)
    with pytest.raises(FileNotFoundError):
        write_bundle(replace(engine, root=tmp_path / "gone"), ORT_CPU, this_machine(), contents, out)
    assert read_bundle(out) == old
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_while_a_bundle_is_replaced_there_is_always_one(bundle: Bundle, engine: Artifact, tmp_path: Path) -> None:
    # Asked before every call to the system: a crash or a reader may come at each of them.
    out = Path(shutil.copytree(bundle.root, tmp_path / "bundle"))
    command = [sys.executable, "-c", _WATCHED_WRITE, str(engine.root), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read_bundle(out).manifest["model"] == "another"
    assert done.stdout.strip() == "[True]"


def test_a_link_in_its_place_stays_one(engine: Artifact, contents: Contents, tmp_path: Path) -> None:
    (tmp_path / "disk" / "bundle").mkdir(parents=True)
    (tmp_path / "bundle").symlink_to(tmp_path / "disk" / "bundle")
    for _ in range(2):
        write_bundle(engine, ORT_CPU, this_machine(), contents, tmp_path / "bundle")
    assert (tmp_path / "bundle").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["bundle"]
    assert verify.verify_bundle(tmp_path / "disk" / "bundle") == []


def test_an_engine_that_changed_while_it_was_copied_is_not_published(
    engine: Artifact, contents: Contents, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(engine.root, tmp_path / "engine"))
    (home / "model.onnx").chmod(0o644)
    (home / "model.onnx").write_bytes(b"another")
    with pytest.raises(IntegrityError, match="changed while it was copied"):
        write_bundle(replace(engine, root=home), ORT_CPU, this_machine(), contents, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_a_bundle_that_is_refused_leaves_the_old_one(engine: Artifact, contents: Contents, tmp_path: Path) -> None:
    def refuse(sha256: str) -> None:
        raise ParityError(sha256)

    old = write_bundle(engine, ORT_CPU, this_machine(), contents, tmp_path / "bundle")
    other = write_bundle(engine, ORT_CPU, this_machine(), replace(contents, model="other"), tmp_path / "other")
    with pytest.raises(ParityError, match=other.sha256):
        write_bundle(
            engine, ORT_CPU, this_machine(), replace(contents, model="other"), tmp_path / "bundle", refuse=refuse
        )
    assert read_bundle(tmp_path / "bundle") == old


# Whether it is intact


def test_an_intact_bundle_is_told_with_its_identity(bundle: Bundle, tmp_path: Path) -> None:
    for done in (
        _verify(bundle.root / "verify.py", cwd=tmp_path),
        _verify(bundle.root / "verify.py", str(bundle.root)),
    ):
        assert (done.returncode, done.stdout, done.stderr) == (0, f"intact  sha256 {bundle.sha256}\n", "")


def test_a_copied_and_renamed_bundle_is_the_same_bundle(bundle: Bundle, copy: Path) -> None:
    assert read_bundle(copy.rename(copy.with_name("renamed"))).sha256 == bundle.sha256


def _some_file(root: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(path for path in root.iterdir() if path.is_file()))


def _two_files(root: Path, chance: random.Random) -> tuple[Path, Path]:
    first, second = chance.sample(sorted(path for path in root.iterdir() if path.is_file()), 2)
    return first, second


def _flip_a_bit(root: Path, chance: random.Random) -> None:
    path = _some_file(root, chance)
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _append(root: Path, chance: random.Random) -> None:
    path = _some_file(root, chance)
    path.write_bytes(path.read_bytes() + chance.choice([b"\n", b" ", b"\0", chance.randbytes(9)]))


def _truncate(root: Path, chance: random.Random) -> None:
    path = _some_file(root, chance)
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def _delete_a_byte(root: Path, chance: random.Random) -> None:
    path = _some_file(root, chance)
    content = bytearray(path.read_bytes())
    del content[chance.randrange(len(content))]
    path.write_bytes(content)


def _delete(root: Path, chance: random.Random) -> None:
    _some_file(root, chance).unlink()


def _add_an_empty_file(root: Path, chance: random.Random) -> None:
    (root / chance.choice(["new", ".hidden", "run.pyc", "manifest.json.bak", "MANIFEST.JSON", "a\nb"])).touch()


def _add_an_empty_folder(root: Path, chance: random.Random) -> None:
    (root / chance.choice(["new", ".git", "__pycache__", "a/b"])).mkdir(parents=True)


def _add_a_file_in_a_folder(root: Path, chance: random.Random) -> None:
    folder = root / chance.choice(["new", ".git", "__pycache__"])
    folder.mkdir()
    shutil.copy(_some_file(root, chance), folder)


def _add_a_module(root: Path, chance: random.Random) -> None:
    name = chance.choice(["__future__", "base64", "hashlib", "json", "os"])
    (root / f"{name}.py").write_text(_TAKES_OVER, encoding="utf-8")


def _rename(root: Path, chance: random.Random) -> None:
    path = _some_file(root, chance)
    path.rename(root / chance.choice([path.name.upper() + "X", path.name + " ", "new"]))


def _swap(root: Path, chance: random.Random) -> None:
    first, second = _two_files(root, chance)
    first.rename(root / "aside")
    second.rename(first)
    (root / "aside").rename(second)


def _replace_by_a_link(root: Path, chance: random.Random) -> None:
    # To the very same bytes outside: on another machine there would be others behind it.
    path = _some_file(root, chance)
    outside = root.with_name(root.name + "-outside")
    path.rename(outside)
    path.symlink_to(outside)


def _replace_by_a_copy_of_another(root: Path, chance: random.Random) -> None:
    first, second = _two_files(root, chance)
    shutil.copy(first, second)


def _replace_by_a_hard_link_to_another(root: Path, chance: random.Random) -> None:
    first, second = _two_files(root, chance)
    second.unlink()
    second.hardlink_to(first)


def _replace_by_a_folder(root: Path, chance: random.Random) -> None:
    path = _some_file(root, chance)
    path.unlink()
    path.mkdir()


_CHANGES: tuple[Change, ...] = (
    _flip_a_bit, _append, _truncate, _delete_a_byte, _delete, _add_an_empty_file, _add_an_empty_folder,
    _add_a_file_in_a_folder, _add_a_module, _rename, _swap, _replace_by_a_link, _replace_by_a_copy_of_another,
    _replace_by_a_hard_link_to_another, _replace_by_a_folder,
)  # fmt: skip

_TAKES_OVER = "print('intact  sha256 0')\nraise SystemExit(0)\n"
"""What whoever adds a module would have it do in place of the check."""


def _as_the_readme_says(script: Path, *arguments: str) -> tuple[int, str]:
    """What a script of a bundle ends with, and says, typed in its folder as ``README.md`` has it."""
    command = [sys.executable, script.name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=script.parent, timeout=60)
    return done.returncode, done.stderr or done.stdout


def test_each_of_300_random_changes_is_refused_by_the_library_and_by_the_script(bundle: Bundle, tmp_path: Path) -> None:
    made: list[tuple[str, Path]] = []
    for number in range(300):
        chance = random.Random(number)
        folder = Path(shutil.copytree(bundle.root, tmp_path / f"{number:03}"))
        change = _CHANGES[number % len(_CHANGES)]
        change(folder, chance)
        made.append((f"{number}: {change.__name__}", folder))

    assert [what for what, folder in made if not _refused_by_read(folder)] == []
    told = _verdicts(bundle.root / "verify.py", [folder for _, folder in made])
    typed = [
        _as_the_readme_says(folder / "verify.py") if what.endswith(_add_a_module.__name__) else verdict
        for (what, folder), verdict in zip(made, told, strict=True)
    ]
    assert [(what, verdict) for (what, _), verdict in zip(made, typed, strict=True) if verdict[0] != 6] == []
    assert [(what, verdict) for (what, _), verdict in zip(made, told, strict=True) if verdict[0] != 6] == []
    assert [what for (what, _), (_, words) in zip(made, told, strict=True) if not words.strip()] == []


def test_each_single_byte_of_the_manifest_that_is_another_is_seen(copy: Path) -> None:
    path, chance = copy / "manifest.json", random.Random(0)
    content = path.read_bytes()
    unseen = []
    for place in range(len(content)):
        # Also the other case of a letter: what JSON or a hash in hex might take as the same.
        for other in {content[place] ^ 1 << chance.randrange(8), content[place] ^ 0x20}:
            path.write_bytes(content[:place] + bytes([other]) + content[place + 1 :])
            if not _refused_by_read(copy):
                unseen.append((place, other))
    assert unseen == []


@pytest.mark.parametrize(
    "written",
    [
        lambda value: json.dumps(value, indent=1),
        lambda value: json.dumps(dict(reversed(value.items()))),
        verify.spelled,
        lambda value: verify.spelled(value) + "\n\n",
        lambda value: verify.spelled({**value, "note": "added"}) + "\n",
        lambda value: verify.spelled(value).replace('"int8"', '"int\\u0038"', 1) + "\n",
        lambda value: verify.spelled(value).replace('{"', '{"precision":"float","', 1) + "\n",
        lambda value: verify.spelled({key: item for key, item in value.items() if key != "sha256"}) + "\n",
    ],
    ids=["indented", "other order", "no end of line", "two", "a key more", "an escape", "a key twice", "no seal"],
)
def test_another_spelling_of_the_manifest_is_refused(copy: Path, written: Callable[[dict[str, Any]], str]) -> None:
    path = copy / "manifest.json"
    path.write_text(written(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert _refused_by_read(copy)
    assert _verify(copy / "verify.py").returncode == 6


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(lambda root: (root / "classes.txt").unlink(), "classes.txt: missing", id="missing"),
        pytest.param(lambda root: (root / "new").touch(), "new: not in the manifest", id="a file more"),
        pytest.param(lambda root: (root / "new").mkdir(), "new: an empty folder", id="an empty folder"),
        pytest.param(lambda root: (root / "new").symlink_to("run.py"), "new: a link", id="a link"),
        pytest.param(lambda root: os.mkfifo(root / "new"), "new: not a plain file", id="a pipe"),
        pytest.param(
            lambda root: (root / "classes.txt").write_text("blue\ngreen\nReD\n"),
            "classes.txt: the bytes are not those of the manifest",
            id="other bytes",
        ),
        pytest.param(
            lambda root: (root / "classes.txt").write_text("blue\n"),
            "classes.txt: 5 bytes, the manifest says 15",
            id="shorter",
        ),
        pytest.param(
            lambda root: (root / "manifest.json").write_text("{}"),
            "manifest.json: cannot be read ('schema')",
            id="no keys",
        ),
        pytest.param(
            lambda root: shutil.copy(root / "run.py", root / "manifest.json"),
            "manifest.json: cannot be read (Expecting value: line 1 column 1 (char 0))",
            id="no JSON",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line_by_the_library_and_by_the_script(
    copy: Path, damage: Callable[[Path], object], problem: str
) -> None:
    damage(copy)
    with pytest.raises(IntegrityError) as raised:
        read_bundle(copy)
    assert str(raised.value) == (
        f"{copy}: this bundle is not what its manifest says\n  got: {problem}\n"
        "  fix: copy it again from where it was made, or make it anew with `edgewright deploy`"
    )
    done = _verify(copy / "verify.py")
    assert (done.returncode, done.stdout, done.stderr) == (6, "", problem + "\n")


def test_an_application_that_imports_the_runner_leaves_no_byte_code(copy: Path, tmp_path: Path) -> None:
    _import("run", copy, tmp_path)
    assert verify.verify_bundle(copy) == []


def test_byte_code_of_an_import_is_refused_and_it_is_told_how_to_go_without(copy: Path, tmp_path: Path) -> None:
    _import("verify", copy, tmp_path)
    (problem,) = verify.verify_bundle(copy)
    assert problem.startswith("__pycache__/verify.cpython-")
    assert problem.endswith(
        ".pyc: not in the manifest: byte code, which Python leaves where it imports a script; remove the folder "
        "__pycache__, and import with PYTHONDONTWRITEBYTECODE=1 (python -B)"
    )
    assert _verify(copy / "verify.py").returncode == 6


def _import(script: str, bundle: Path, elsewhere: Path) -> None:
    """As an application would, in a Python that writes byte code."""
    code = f"import sys; sys.path.insert(0, {str(bundle)!r}); import {script}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=elsewhere, env=environment)


def test_what_cannot_be_read_is_a_problem(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "hidden").mkdir()
    (copy / "hidden" / "file").touch()
    scandir, getsize = os.scandir, os.path.getsize

    def no_folder(path: str) -> Any:  # noqa: ANN401 - the system's iterator
        if path.endswith("hidden"):  # as for a user who is not root and a folder of mode 000
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    def no_file(path: str) -> int:
        if path.endswith("classes.txt"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return getsize(path)

    monkeypatch.setattr(os, "scandir", no_folder)
    monkeypatch.setattr(os.path, "getsize", no_file)
    assert verify.verify_bundle(copy) == [
        "hidden: cannot be read (Permission denied)",
        "classes.txt: cannot be read (Permission denied)",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", b"caf\xe9\n"),
        ("preprocess.json", b"[]"),
        ("preprocess.json", b"[" * 100_000),
        ("manifest.json", "engine"),
        ("manifest.json", "provenance"),
        ("manifest.json", "model"),
    ],
)
def test_a_whole_bundle_that_is_none_of_ours_is_refused_by_one_error(
    copy: Path, name: str, content: bytes | str
) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    if isinstance(content, str):
        manifest[content] = 3
    else:
        (copy / name).write_bytes(content)
        (entry,) = (one for one in manifest["files"] if one["path"] == name)
        entry |= {"size_bytes": len(content), "sha256": sha256_of_file(copy / name)}
    (copy / "manifest.json").write_text(verify.spelled(verify.sealed(manifest)) + "\n", encoding="utf-8")
    assert verify.verify_bundle(copy) == []
    with pytest.raises(IntegrityError, match="is whole, and yet none of ours"):
        read_bundle(copy)


def test_of_many_problems_the_library_tells_the_first_and_how_many_there_are(copy: Path) -> None:
    for name in ("one", "two", "three"):
        (copy / name).touch()
    with pytest.raises(IntegrityError) as raised:
        read_bundle(copy)
    assert raised.value.got == "one: not in the manifest (and 2 more)"


def test_a_folder_that_is_not_there_is_no_bundle(bundle: Bundle, tmp_path: Path) -> None:
    done = _verify(bundle.root / "verify.py", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stderr) == (6, f"{tmp_path / 'nowhere'}: there is no such folder\n")


def test_a_manifest_of_another_kind_names_the_kind(copy: Path) -> None:
    path = copy / "manifest.json"
    other = {**json.loads(path.read_text(encoding="utf-8")), "schema": "edgewright.bundle/2"}
    path.write_text(verify.spelled(verify.sealed(other)) + "\n", encoding="utf-8")
    assert verify.verify_bundle(copy) == [
        "manifest.json: schema is 'edgewright.bundle/2', wanted 'edgewright.bundle/1'"
    ]


def test_a_pipe_in_place_of_the_manifest_is_refused_rather_than_waited_for(copy: Path) -> None:
    (copy / "manifest.json").unlink()
    os.mkfifo(copy / "manifest.json")
    command = [sys.executable, "-I", "-S", str(copy / "verify.py")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3)
    except subprocess.TimeoutExpired:
        pytest.fail("verify.py waits for somebody to write into the pipe")
    assert done.returncode == 6


@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX])
def test_a_privilege_is_refused(copy: Path, bit: int) -> None:
    (copy / "run.py").chmod(0o755 | bit)
    assert verify.verify_bundle(copy)[0] == "run.py: a set-uid, set-gid or sticky bit"
    assert _verify(copy / "verify.py").returncode == 6


def test_another_name_for_a_file_is_no_change_of_the_bundle(copy: Path, tmp_path: Path) -> None:
    # Package systems such as OSTree keep every file of a device as a hard link; the bytes are what is vouched for.
    (tmp_path / "another name").hardlink_to(copy / "model.onnx")
    assert read_bundle(copy).root == copy
    assert _verify(copy / "verify.py").returncode == 0


_PUBLISHES = """
import json, os, sys
from pathlib import Path

from exporters.bundle import Contents, write_bundle
from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import Artifact
from pipeline.environment import this_machine
from pipeline.preprocess import PreprocessSpec

home, out = Path(sys.argv[1]), Path(sys.argv[2])
engine = Artifact.from_json(json.loads((home / "artifact.json").read_text()), home)
os.fsync = lambda _: None  # publishes as often as can be
number = 0
while True:
    number += 1
    contents = Contents(
        model=str(number), task="classification", preprocess=PreprocessSpec(size=(16, 16)), provenance={},
        classes=[f"class {number}"],
    )
    write_bundle(engine, ORT_CPU, this_machine(), contents, out)
    print(number, flush=True)
"""


def test_whoever_reads_while_bundles_are_published_sees_one_of_them(engine: Artifact, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", _PUBLISHES, str(engine.root), str(tmp_path / "bundle")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        child.stdout.readline()
        torn, seen = [], set()
        until = time.perf_counter() + 3
        while time.perf_counter() < until:
            torn += verify.verify_bundle(tmp_path / "bundle")
            found = read_bundle(tmp_path / "bundle")
            seen.add(found.sha256)
            if found.classes != (f"class {found.manifest['model']}",):
                torn.append(f"{found.classes} of {found.manifest['model']}")
    finally:
        child.kill()
        child.communicate()
    assert torn == []
    assert len(seen) > 5  # it was published meanwhile, again and again


def test_a_bundle_that_was_replaced_before_its_model_was_loaded_is_not_mixed(
    bundle: Bundle, engine: Artifact, contents: Contents, copy: Path, photos: dict[str, Path]
) -> None:
    opened = edgewright.Bundle.open(copy)
    write_bundle(engine, ORT_CPU, this_machine(), replace(contents, model="another"), copy)
    with pytest.raises(IntegrityError, match="was replaced by another since it was opened"):
        opened.run(photos["red"])


# What the device runs


@pytest.fixture(scope="module")
def photos(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An image of each class, and a larger JPEG."""
    found = {name: min((tiny_data / "val" / name).iterdir()) for name in ("blue", "green", "red")}
    found["large"] = tmp_path_factory.mktemp("photos") / "large.jpg"
    Image.open(found["red"]).resize((64, 48)).save(found["large"])
    return found


def _run(bundle: Path, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(bundle / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_run_py_imports_the_runtime_numpy_pillow_and_the_standard_library(bundle: Bundle) -> None:
    roots = _imported(bundle.root / "run.py")
    assert roots - set(sys.stdlib_module_names) == {"onnxruntime", "numpy", "PIL", "cv2"}  # the last for --video alone


@pytest.mark.parametrize(
    ("script", "arguments", "code"), [("verify.py", (), 6), ("run.py", ("--help",), 0)], ids=["verify.py", "run.py"]
)
def test_no_file_that_was_added_runs_in_place_of_a_library(
    copy: Path, tmp_path: Path, script: str, arguments: tuple[str, ...], code: int
) -> None:
    for name in {*_imported(copy / script), "__future__", "sitecustomize", "warnings"}:
        (copy / f"{name}.py").write_text("open('taken-over', 'w').close()\nraise SystemExit(0)\n", encoding="utf-8")
    linked = tmp_path / "linked"
    linked.symlink_to(copy)

    assert [_as_the_readme_says(folder / script, *arguments)[0] for folder in (copy, linked)] == [code, code]
    assert not (copy / "taken-over").exists()


def test_verify_py_called_by_another_script_leaves_its_path_alone(bundle: Bundle) -> None:
    script = str(bundle.root / "verify.py")
    asked = f"""
import runpy, sys
before = sys.path[:]
sys.argv = [{script!r}]
try:
    runpy.run_path({script!r}, run_name="__main__")
except SystemExit as left:
    print(left.code, sys.path == before)
"""
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("0 True\n")


def test_verify_py_imports_the_standard_library_alone(bundle: Bundle) -> None:
    assert _imported(bundle.root / "verify.py") <= set(sys.stdlib_module_names)


def _imported(script: Path) -> set[str]:
    roots = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            roots.add(str(node.module).partition(".")[0])
    return roots


def test_run_py_prints_the_likeliest_classes_with_their_shares(
    bundle: Bundle, photos: dict[str, Path], tmp_path: Path
) -> None:
    done = _run(bundle.root, photos["red"], cwd=tmp_path)
    rows = [re.fullmatch(r" *(\d+\.\d\d) %  (\w+)", line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert all(rows)
    shares = [float(row[1]) for row in rows if row]
    assert sorted(row[2] for row in rows if row) == ["blue", "green", "red"]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.02)


@pytest.fixture(scope="module")
def seven(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with seven classes; of any image the last one is the likeliest, the first one the least likely."""
    home = tmp_path_factory.mktemp("seven")
    weights = np.repeat(np.arange(7, dtype=np.float32)[None], 3, axis=0)
    graph = helper.make_graph(
        [
            helper.make_node("Abs", ["input"], ["positive"]),
            helper.make_node("ReduceMean", ["positive", "axes"], ["colour"], keepdims=0),
            helper.make_node("MatMul", ["colour", "weights"], ["output"]),
        ],
        "seven",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, 7))],
        [numpy_helper.from_array(np.array([2, 3]), "axes"), numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), home / "seven.onnx")
    (home / "engine").mkdir()
    spec = ORT_CPU.build(home / "seven.onnx", home / "engine", precision="float")
    facts = {"engine": spec.to_json(), "precision": "float", "dialect": None}
    engine = Artifact.of_folder(ArtifactKind.ENGINE, home / "engine", facts)
    named = replace(contents, classes=tuple("abcdefg"))
    return write_bundle(engine, ORT_CPU, this_machine(), named, home / "bundle")


@pytest.mark.parametrize(
    ("asked", "classes"), [((), "gfedc"), (("--top", "1"), "g"), (("--top", "100"), "gfedcba")], ids=["5", "1", "100"]
)
def test_run_py_prints_five_of_many_classes_or_as_many_as_asked_for(
    seven: Bundle, photos: dict[str, Path], asked: tuple[str, ...], classes: str
) -> None:
    done = _run(seven.root, *asked, photos["red"])
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == list(classes)


@pytest.mark.parametrize("asked", ["0", "-1", "many"])
def test_run_py_refuses_a_number_of_classes_that_is_none(seven: Bundle, photos: dict[str, Path], asked: str) -> None:
    done = _run(seven.root, f"--top={asked}", photos["red"])
    assert (done.returncode, done.stdout) == (2, "")
    assert "--top" in done.stderr


@pytest.mark.parametrize("photo", ["red", "large"])
def test_run_py_prints_the_pipelines_own_logits_as_json(
    bundle: Bundle, photos: dict[str, Path], session_parts: Parts, photo: str
) -> None:
    with open_session(bundle.root, bundle.spec) as session:
        (expected,) = session.run(session_parts.preprocess.load(str(photos[photo]))[None])
    done = _run(bundle.root, "--json", photos[photo])
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["image"]) == (0, "", str(photos[photo]))
    assert np.array_equal(np.array(told["logits"], np.float32), expected[0])
    order = [int(place) for place in np.argsort(-expected[0])]
    assert [(one["index"], one["class"]) for one in told["top"]] == [(i, bundle.classes[i]) for i in order]
    assert sum(one["probability"] for one in told["top"]) == pytest.approx(1)


def test_run_py_names_each_of_several_images_above_its_classes(bundle: Bundle, photos: dict[str, Path]) -> None:
    lines = _run(bundle.root, "--top", "1", photos["red"], photos["blue"]).stdout.splitlines()
    assert lines[::2] == [str(photos["red"]), str(photos["blue"])]
    assert all(" %  " in line for line in lines[1::2])
    assert len(lines) == 4


def test_run_py_prints_a_json_line_for_each_of_several_images(bundle: Bundle, photos: dict[str, Path]) -> None:
    lines = _run(bundle.root, "--json", photos["red"], photos["blue"]).stdout.splitlines()
    assert [json.loads(line)["image"] for line in lines] == [str(photos["red"]), str(photos["blue"])]


@pytest.mark.parametrize("made", ["missing", "empty", "no image"])
def test_run_py_ends_with_2_and_one_line_for_an_image_it_cannot_read(bundle: Bundle, tmp_path: Path, made: str) -> None:
    path = tmp_path / "photo.jpg"
    if made != "missing":
        path.write_bytes(b"" if made == "empty" else b"GIF89a, so it says")
    done = _run(bundle.root, "photo.jpg", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: photo\.jpg: cannot be read as an image \(.+\)\n", done.stderr)


def test_run_py_answers_for_the_images_before_the_one_it_cannot_read(bundle: Bundle, photos: dict[str, Path]) -> None:
    done = _run(bundle.root, "--json", photos["red"], "nowhere.png")
    assert done.returncode == 2
    assert json.loads(done.stdout)["image"] == str(photos["red"])
    assert done.stderr == (
        "error: nowhere.png: cannot be read as an image ([Errno 2] No such file or directory: 'nowhere.png')\n"
    )


def test_run_py_refuses_a_model_that_is_not_the_bundles(copy: Path, photos: dict[str, Path]) -> None:
    content = bytearray((copy / "model.onnx").read_bytes())
    content[-20] ^= 1
    (copy / "model.onnx").write_bytes(content)
    done = _run(copy, photos["red"])
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == "error: model.onnx is not the file this bundle was made with (see verify.py)\n"


def _change_manifest(bundle: Path, **changed: Any) -> None:  # noqa: ANN401 - JSON
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changed}), encoding="utf-8")


def test_run_py_refuses_a_machine_of_another_architecture(copy: Path, photos: dict[str, Path]) -> None:
    _change_manifest(copy, machine={"architectures": ["mips", "mipsel"], "isa": []})
    done = _run(copy, photos["red"])
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == f"error: this bundle is for mips or mipsel, this machine is {platform.machine()}\n"


def test_run_py_refuses_a_runtime_older_than_the_one_it_was_made_with(copy: Path, photos: dict[str, Path]) -> None:
    import onnxruntime

    _change_manifest(copy, versions={"onnxruntime": "99.1.0"})
    done = _run(copy, photos["red"])
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == (
        f"error: this bundle was made with onnxruntime 99.1.0, here is {onnxruntime.__version__}: install that one\n"
    )


def test_run_py_takes_a_newer_runtime_than_the_one_it_was_made_with(copy: Path, photos: dict[str, Path]) -> None:
    _change_manifest(copy, versions={"onnxruntime": "1.9.0"})
    assert _run(copy, photos["red"]).returncode == 0


def test_nothing_in_a_name_steers_the_terminal(
    engine: Artifact, contents: Contents, photos: dict[str, Path], tmp_path: Path
) -> None:
    hostile = "\x1b[2Jcat\x9b31m \u202etac é"
    classes = [f"{hostile}{number}" for number in range(3)]
    root = write_bundle(engine, ORT_CPU, this_machine(), replace(contents, classes=classes), tmp_path / "bundle").root
    shutil.copy(photos["red"], tmp_path / f"{hostile}.png")
    (tmp_path / f"{hostile}.txt").write_text("no image", encoding="utf-8")
    answered = _run(root, tmp_path / f"{hostile}.png", tmp_path / f"{hostile}.png")
    refused = _run(root, tmp_path / f"{hostile}.txt")
    (root / hostile).touch()
    verified = _verify(root / "verify.py")
    assert (answered.returncode, refused.returncode, verified.returncode) == (0, 2, 6)
    for told in (answered.stdout, refused.stderr, verified.stderr):
        assert r"\x1b[2Jcat\x9b31m \u202etac é" in told
        assert not {"\x1b", "\x9b", "\u202e"} & set(told)
