"""``run.py`` in the bundle of every target: the pipeline's own numbers, and no machine or file it was not made for."""

from __future__ import annotations

import ast
import builtins
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from exporters.bundle import Bundle, Contents, run_script, write_bundle
from exporters.device import verify
from pipeline.artifact import qdq_model
from pipeline.catalog import OPENERS, TARGETS, TASKS, target_named
from pipeline.devices.facts import required
from pipeline.environment import this_machine
from pipeline.gpu import this_gpu
from pipeline.image_input import load_image
from pipeline.import_path import object_at
from pipeline.stages.build import BuildFor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.artifact import Artifact
    from pipeline.subject import Parts

_HERE = [name for name in TARGETS if target_named(name).missing() is None]
_ON_CPU = [name for name in ("ort-cpu", "openvino") if name in _HERE]
_ON_GPU = [name for name in _HERE if name not in _ON_CPU]


@pytest.fixture(scope="module")
def bundles(
    exported: Artifact,
    contents: Contents,
    run: Callable[..., Artifact],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Bundle]:
    """An INT8 bundle for every target that can be built here."""
    made = {}
    for name in _HERE:
        target = target_named(name)
        source = qdq_model(target.dialect(this_machine()))
        engine = run(BuildFor(target=name, source=source, precision="int8", builder=target), exported)
        made[name] = write_bundle(engine, target, this_machine(), contents, tmp_path_factory.mktemp(name) / "bundle")
    return made


@pytest.fixture
def copy(bundles: dict[str, Bundle], request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A bundle of one's own, of the target the test is parametrised with."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundles[request.getfixturevalue("name")].root, folder)
    return folder


@pytest.fixture(scope="module")
def photo(tiny_data: Path) -> Path:
    """An image."""
    return min((tiny_data / "val" / "red").iterdir())


def _run(bundle: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(bundle / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _change_manifest(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(verify.spelled(verify.sealed(manifest)) + "\n", encoding="utf-8")


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _annotations(tree: ast.Module) -> list[ast.AST]:
    """All that Python computes of the annotations; what is quoted is a text to it."""
    stated = [getattr(one, name, None) for one in ast.walk(tree) for name in ("annotation", "returns")]
    return [part for one in stated if one is not None for part in ast.walk(one)]


def _bound_by(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module gives a value."""
    match statement:
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [(one.asname or one.name).partition(".")[0] for one in names]
        case ast.Assign(targets=targets):
            return [one.id for one in targets if isinstance(one, ast.Name)]
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return [name]
        case ast.Try(body=body):
            return [name for one in body for name in _bound_by(one)]
    return []


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("task", TASKS)
def test_the_script_of_every_target_is_python_and_has_no_gap(name: str, task: str) -> None:
    text = run_script(target_named(name), task)
    assert "@@" not in text
    tree = ast.parse(text, feature_version=(3, 9))
    # `from __future__` would be looked for in the bundle's folder, and without it annotations are computed: as 3.9 can.
    assert not [one for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
    assert not [one for one in _annotations(tree) if isinstance(one, ast.BinOp)]
    bound = {name: one.lineno for one in tree.body for name in _bound_by(one)}
    used = {one.id: one.lineno for one in _annotations(tree) if isinstance(one, ast.Name)}
    assert [name for name, line in used.items() if not hasattr(builtins, name) and bound.get(name, line) >= line] == []
    assert {"open_model", "add_options", "answer", "pictures_for"} < {
        one.name for one in tree.body if isinstance(one, ast.FunctionDef)
    }
    assert "Model" in {one.name for one in tree.body if isinstance(one, ast.ClassDef)}


@pytest.mark.parametrize("name", _ON_CPU)
def test_its_logits_are_those_of_the_pipelines_session(
    bundles: dict[str, Bundle], name: str, photo: Path, session_parts: Parts
) -> None:
    done = _run(bundles[name].root, "--json", photo)
    assert (done.returncode, done.stderr) == (0, "")
    with object_at(OPENERS[name])(bundles[name].root, bundles[name].spec) as session:
        (wanted,) = session.run(session_parts.preprocess.load(str(photo))[None])
    assert np.array_equal(np.float32(json.loads(done.stdout)["logits"]), wanted[0])


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_a_folder_is_asked_image_by_image(bundles: dict[str, Bundle], name: str, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (2, 1):
        shutil.copy(photo, folder / f"{number}.png")
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    done = _run(bundles[name].root, "--json", folder)

    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["image"] for record in records] == [str(folder / "1.png"), str(folder / "2.png")]
    alone = json.loads(_run(bundles[name].root, "--json", photo).stdout)
    assert records[0]["logits"] == alone["logits"]

    (tmp_path / "empty").mkdir()
    done = _run(bundles[name].root, tmp_path / "empty")
    assert (done.returncode, done.stderr) == (2, f"error: {tmp_path / 'empty'}: there is no image in this folder\n")


CV2 = """
    import numpy as np
    from PIL import Image

    CAP_PROP_POS_MSEC = 0

    class VideoCapture:
        def __init__(self, path):
            self.place = 0
            with Image.open(path) as opened:
                self.frame = np.asarray(opened.convert("RGB"))[:, :, ::-1]

        def isOpened(self):
            return True

        def get(self, what):
            return 40.0 * max(0, self.place - 1)  # of the frame that was read last

        def read(self):
            self.place += 1
            return (True, self.frame) if self.place <= 3 else (False, None)

        def release(self):
            pass
"""
"""Stands where OpenCV would: a film of one image, three times."""


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_a_film_is_asked_frame_by_frame(bundles: dict[str, Bundle], name: str, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(textwrap.dedent(CV2), encoding="utf-8")
    command = [sys.executable, str(bundles[name].root / "run.py"), "--json", "--video", str(photo)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["image"], one["frame"], one["seconds"]) for one in records] == [
        (str(photo), number, 0.04 * number) for number in range(3)
    ]
    alone = json.loads(_run(bundles[name].root, "--json", photo).stdout)
    assert [one["logits"] for one in records] == [alone["logits"]] * 3


@pytest.mark.skipif(find_spec("cv2") is not None, reason="OpenCV is here")
@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_without_opencv_a_film_is_refused_in_one_sentence(bundles: dict[str, Bundle], name: str, photo: Path) -> None:
    done = _run(bundles[name].root, "--video", photo)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("error: --video needs OpenCV (No module named 'cv2'): pip install opencv-python-headless\n")


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_an_image_that_breaks_its_decoder_is_told_and_the_others_are_answered_for(
    bundles: dict[str, Bundle], name: str, photo: Path, tmp_path: Path
) -> None:
    """Its EXIF data turn it and say what no number of their kind can: Pillow raises neither OSError nor ValueError."""
    tags = struct.pack("<HHII", 0x0103, 4, 1, 100_000) + struct.pack("<HHII", 0x0112, 3, 1, 6)
    told = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + tags + struct.pack("<I", 0)
    Image.new("RGB", (8, 8)).save(tmp_path / "broken.jpg", exif=told)
    shutil.copy(photo, tmp_path / "whole.png")
    with pytest.raises(struct.error):
        load_image(str(tmp_path / "broken.jpg"))
    done = _run(bundles[name].root, "--json", tmp_path)

    assert done.returncode == 2
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == [str(tmp_path / "whole.png")]
    assert re.fullmatch(r"error: .*broken\.jpg: cannot be read as an image \(.+\)\n", done.stderr)


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_a_model_that_does_not_load_or_answer_is_refused_in_one_sentence(copy: Path, name: str, photo: Path) -> None:
    whole = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))["engine"]
    for engine, sentence in (
        ({**whole, "options": {}}, r"this bundle cannot be loaded here \(KeyError: .+\)"),
        (
            {**whole, "input": {**whole["input"], "name": "another"}},
            r".*\.png: the model gave no answer that can be read \(.+\)",
        ),
    ):
        _change_manifest(copy, lambda manifest, engine=engine: manifest.update(engine=engine))
        done = _run(copy, photo)
        assert (done.returncode, done.stdout) == (6, "")
        assert re.fullmatch(f"error: {sentence}\n", done.stderr)


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_neither_a_manifest_nor_a_mistaken_name_steers_the_terminal(copy: Path, name: str, photo: Path) -> None:
    _change_manifest(copy, lambda manifest: manifest["machine"].update(isa=["\x1b[31m"]))
    told = _run(copy, photo)
    mistaken = _run(copy, photo, "-\x1b[31m.jpg")

    assert (told.returncode, mistaken.returncode) == (0, 2)
    for text, start in ((told.stderr, "note: this bundle was measured with "), (mistaken.stderr, "arguments: -")):
        assert f"{start}\\x1b[31m" in text
        assert "\x1b" not in text


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_what_cannot_be_written_where_it_should_go_is_no_traceback(
    bundles: dict[str, Bundle], name: str, photo: Path, tmp_path: Path
) -> None:
    script, odd = bundles[name].root / "run.py", tmp_path / "\u00fcn\u00ef.png"
    shutil.copy(photo, odd)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    without_letters = subprocess.run(
        [sys.executable, str(script), str(photo), str(odd)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (without_letters.returncode, without_letters.stderr) == (0, "")
    assert "\\xfcn\\xef.png" in without_letters.stdout

    with Path("/dev/full").open("w", encoding="utf-8") as full:
        no_room = subprocess.run([sys.executable, "-I", str(script), str(photo)], stdout=full, stderr=-1, check=False)
    assert no_room.returncode == 2
    assert no_room.stderr.decode().startswith("error: the answers cannot be written (")
    assert b"Traceback" not in no_room.stderr

    reading, writing = os.pipe()
    os.close(reading)  # whoever read has enough
    enough = subprocess.run([sys.executable, "-I", str(script), str(photo)], stdout=writing, stderr=-1, check=False)
    os.close(writing)
    assert (enough.returncode, enough.stderr) == (0, b"")


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_without_numpy_it_says_what_is_needed(bundles: dict[str, Bundle], name: str, photo: Path) -> None:
    script = bundles[name].root / "run.py"
    bare = [sys.executable, "-S", "-I", str(script), str(photo)]  # without anything that was installed
    done = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == "error: numpy is not installed here: see README.md for what this bundle needs\n"


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_nothing_to_ask_about_is_a_mistake(bundles: dict[str, Bundle], name: str) -> None:
    done = _run(bundles[name].root)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the following arguments are required: IMAGE" in done.stderr


@pytest.mark.parametrize("name", _HERE)
def test_a_modified_model_is_not_loaded(copy: Path, name: str, photo: Path, bundles: dict[str, Bundle]) -> None:
    model = bundles[name].spec.model
    _flip_a_byte(copy / model)
    done = _run(copy, photo)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == f"error: {model} is not the file this bundle was made with (see verify.py)\n"


@pytest.mark.parametrize("name", [name for name in _ON_CPU if name == "openvino"])
def test_weights_in_a_file_of_their_own_are_checked_too(copy: Path, name: str, photo: Path) -> None:
    _flip_a_byte(copy / "model.bin")
    done = _run(copy, photo)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == "error: model.bin is not the file this bundle was made with (see verify.py)\n"


@pytest.mark.parametrize("name", _HERE)
def test_another_architecture_is_refused(copy: Path, name: str, photo: Path) -> None:
    _change_manifest(copy, lambda manifest: manifest["machine"].update(architectures=["mips"]))
    done = _run(copy, photo)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith("error: this bundle is for mips, this machine is ")


@pytest.mark.parametrize("name", _ON_CPU)
def test_an_older_runtime_is_refused(copy: Path, name: str, photo: Path) -> None:
    (runtime, *_) = target_named(name).runtime
    _change_manifest(copy, lambda manifest: manifest["versions"].update({runtime: "9999.1"}))
    done = _run(copy, photo)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(f"error: this bundle was made with {runtime} 9999.1, here is ")


@pytest.mark.parametrize("name", _ON_CPU[:1])
def test_an_older_pillow_is_refused(bundles: dict[str, Bundle], name: str, photo: Path) -> None:
    code = (
        "import runpy, sys; import PIL.Image; PIL.__version__ = '9.0.1'; "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(bundles[name].root / "run.py"), str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == "error: Pillow 9.1 or newer is needed, here is 9.0.1: install that one\n"
    assert f'LEAST_PILLOW = "{required("pillow").partition(">=")[2]}"' in run_script(
        target_named(name), "classification"
    )


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="this system does not list its CPU's instructions")
@pytest.mark.parametrize("name", _ON_CPU)
def test_instructions_this_cpu_lacks_are_told_and_it_runs(copy: Path, name: str, photo: Path) -> None:
    _change_manifest(copy, lambda manifest: manifest["machine"].update(isa=["avx9000", *manifest["machine"]["isa"]]))
    done = _run(copy, photo)
    assert done.returncode == 0
    assert done.stderr.startswith("note: this bundle was measured with avx9000, which this CPU lacks: it runs, but ")


_CPU = "flags : fpu avx avx2 fma {more}\n"


def _on_a_cpu_with(bundle: Path, more: str) -> None:
    """Let the script read of another CPU."""
    (bundle.parent / "cpuinfo").write_text(_CPU.format(more=more), encoding="utf-8")
    script = bundle / "run.py"
    text = script.read_text(encoding="utf-8")
    assert text.count('"/proc/cpuinfo"') == 1
    script.write_text(text.replace('"/proc/cpuinfo"', f'"{bundle.parent / "cpuinfo"}"'), encoding="utf-8")


@pytest.mark.parametrize(("measured", "here"), [("avx512_vnni", ""), ("avx_vnni", "avx512f")])
@pytest.mark.parametrize("name", _ON_CPU)
def test_int8_is_refused_where_its_products_saturate(
    copy: Path, name: str, photo: Path, measured: str, here: str
) -> None:
    _change_manifest(copy, lambda manifest: manifest["machine"].update(isa=["avx2", measured]))
    _on_a_cpu_with(copy, here)
    done = _run(copy, photo)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(f"error: this INT8 bundle was measured with {measured}; this CPU has no such ")
    insisted = _run(copy, photo, "--any-cpu")
    assert insisted.returncode == 0
    assert insisted.stderr.startswith(f"note: this bundle was measured with {measured}, which this CPU lacks: ")


@pytest.mark.parametrize(
    ("isa", "here", "dialect"),
    [
        (["avx512_vnni"], "avx_vnni", "ort-x86"),
        (["avx2"], "", "ort-x86"),
        (["avx512_vnni"], "", "ort-x86-7bit"),
        (["avx512_vnni"], "", None),
    ],
    ids=["other-vnni", "measured-without", "7bit", "float"],
)
@pytest.mark.parametrize("name", _ON_CPU)
def test_where_nothing_saturates_otherwise_it_runs(
    copy: Path, name: str, photo: Path, isa: list[str], here: str, dialect: str | None
) -> None:
    _change_manifest(copy, lambda manifest: (manifest["machine"].update(isa=isa), manifest.update(dialect=dialect)))
    _on_a_cpu_with(copy, here)
    assert _run(copy, photo).returncode == 0


@pytest.mark.skipif(this_gpu() is not None, reason="there is a GPU here")
@pytest.mark.parametrize("name", _ON_GPU)
def test_without_a_gpu_the_reason_is_told(bundles: dict[str, Bundle], name: str, photo: Path) -> None:
    done = _run(bundles[name].root, photo)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == "error: this bundle needs an NVIDIA GPU with its driver; none was found\n"


@pytest.mark.parametrize("name", _HERE)
def test_a_bundle_says_what_it_needs(bundles: dict[str, Bundle], name: str) -> None:
    needed = set(target_named(name).runtime) - {"pillow"}
    script = (bundles[name].root / "run.py").read_text(encoding="utf-8")
    assert all(distribution in script.split('"""')[1] for distribution in needed)
    assert "@@" not in script


@pytest.mark.parametrize("name", [name for name in _ON_GPU if name == "tensorrt-rtx"])
def test_an_engine_for_another_gpu_is_built_again_from_the_graph_in_the_bundle(copy: Path, name: str) -> None:
    # Building needs no GPU, so that this part of the script can be run anywhere.
    code = (
        "import json, runpy, sys; import tensorrt_rtx_bindings as trt; "
        "script = runpy.run_path(sys.argv[1]); manifest = json.loads(open(sys.argv[2]).read()); "
        "options = manifest['engine']['options']; gpu = ('RTX 5090', 'sm121', '580.1'); "
        "print(script['misfit'](options, trt.__version__, gpu)); "
        "print(len(bytes(script['built_again'](trt, trt.Logger(trt.Logger.ERROR), manifest, 'sm121'))) > 10000)"
    )
    command = [sys.executable, "-c", code, str(copy / "run.py"), str(copy / "manifest.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    reason, built = done.stdout.splitlines()[-2:]
    assert reason == "it was built for sm86, sm89, sm120, this GPU is RTX 5090 (sm121)"
    assert built == "True"

    _flip_a_byte(copy / "model.onnx")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Refused: model.onnx is not the file this bundle was made with" in done.stderr  # main() ends with 6
