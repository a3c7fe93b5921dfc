"""What is typed as model and as weights, before torch is imported."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import UnknownNameError, UsageError, WeightsError
from pipeline.models import pretrained, resolve, timm_source
from pipeline.models.download import UnreachableError
from pipeline.models.resolve import resolve_model, resolve_weights
from pipeline.models.source import ModelSource

RESNET18 = ModelSource(origin="torchvision", name="resnet18")


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text("def small_net(num_classes=10):\n    return None\n\n\nclass Block:\n    pass\n", encoding="utf-8")
    return path


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> Path:
        reason = "Name or service not known"
        raise UnreachableError(reason)

    monkeypatch.setattr(pretrained, "download", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch-home"))


def test_a_torchvision_name_is_torchvisions() -> None:
    assert resolve_model("resnet18") == RESNET18


def test_a_timm_name_may_carry_the_tag_of_its_weights() -> None:
    assert resolve_model("timm/resnet18") == ModelSource(origin="timm", name="resnet18")
    assert resolve_model("timm/resnet18.a1_in1k") == ModelSource(origin="timm", name="resnet18.a1_in1k")


def test_a_yolo_name_is_a_detector_s() -> None:
    assert resolve_model("yolo/x-nano") == ModelSource(origin="yolo", name="x-nano", task="detection")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("resnet5", "resnet50"),
        ("ResNet50", "resnet50"),
        ("mobilnet_v2", "mobilenet_v2"),
        ("timm/resnt18", "resnet18"),
        ("timm/resnet18.a1_in", "resnet18.a1_in1k"),
        ("vit_base_patch16_224", "timm/vit_base_patch16_224"),
        ("yolo/x-nan", "yolo/x-nano"),
        ("yolox-tiny", "yolo/x-tiny"),
        ("yolo/11n", "yolo/x-nano"),
    ],
)
def test_an_unknown_name_names_the_nearest_ones(text: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as raised:
        resolve_model(text)
    assert repr(text.removeprefix("timm/")) in str(raised.value)
    assert hint in str(raised.value)


def test_without_timm_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_source, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="timm is not installed") as raised:
        resolve_model("timm/resnet18")
    assert "pip install 'edgewright[timm]'" in str(raised.value)


def test_a_file_and_its_factory_are_found_and_the_place_does_not_count(model_file: Path, tmp_path: Path) -> None:
    source = resolve_model(f"{model_file}:small_net")
    assert (source.origin, source.name, source.file) == ("file", "small_net", model_file)
    moved = tmp_path / "elsewhere.py"
    moved.write_bytes(model_file.read_bytes())
    assert resolve_model(f"{moved}:small_net") == source


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nets.py:smal_net", "did you mean small_net?"),
        ("nets.py:zzz", "did you mean small_net?"),
        ("nets.py", "which function makes the network?"),
        ("net.py:small_net", "did you mean .*nets.py?"),
        ("nowhere/net.py:small_net", "nowhere does not exist either"),
    ],
)
def test_a_wrong_file_or_factory_names_what_is_there(model_file: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_model(f"{model_file.parent}/{name}")


def test_a_file_that_is_not_python_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("x = 1\ndef broken(:\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"nets.py:2: this is not valid Python"):
        resolve_model(f"{tmp_path}/nets.py:broken")


def test_errors_answer_within_a_second_and_without_torch() -> None:
    code = (
        "import sys\nfrom pipeline.models.resolve import resolve_model\n"
        "try:\n    resolve_model('resnet5')\nexcept Exception as error:\n    print(error)\n"
        "print([name for name in ('torch', 'torchvision', 'timm') if name in sys.modules])"
    )
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert time.perf_counter() - start < 3, "a second on an idle machine, three times that on a busy one"


@pytest.mark.usefixtures("unreachable")
def test_pretrained_is_the_default_and_out_of_reach_means_scratch_with_a_reason(tmp_path: Path) -> None:
    for text in (None, "pretrained"):
        weights = resolve_weights(text, RESNET18, cache=tmp_path)
        assert weights.origin == "scratch"
        assert weights.reason == ("the pretrained weights of resnet18 are out of reach: Name or service not known")
        assert "\n" not in weights.reason


def test_none_means_scratch(tmp_path: Path) -> None:
    assert resolve_weights("none", RESNET18, cache=tmp_path).origin == "scratch"


def test_a_model_from_a_file_starts_from_scratch_and_has_no_pretrained_weights(
    model_file: Path, tmp_path: Path
) -> None:
    source = resolve_model(f"{model_file}:small_net")
    assert resolve_weights(None, source, cache=tmp_path).reason == "no weights were given"
    with pytest.raises(WeightsError, match="has no pretrained weights"):
        resolve_weights("pretrained", source, cache=tmp_path)


def test_a_weights_file_counts_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"some bytes")
    (tmp_path / "b.pth").write_bytes(b"some bytes")
    first, second = (resolve_weights(str(tmp_path / name), RESNET18, cache=tmp_path) for name in ("a.pth", "b.pth"))
    assert first.origin == "file"
    assert first == second


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pth", None, "there is no such weights file"),
        ("model.onnx", b"1", "unknown kind of weights file"),
        ("cut.pth", b"PK\x03\x04 then nothing", "this file is truncated"),
        ("cut.safetensors", b"\xff\xff\x00\x00\x00\x00\x00\x00{}", "damaged or no safetensors file"),
        ("empty.safetensors", b"", "damaged or no safetensors file"),
    ],
)
def test_a_weights_file_that_cannot_be_one_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message) as raised:
        resolve_weights(str(tmp_path / name), RESNET18, cache=tmp_path)
    assert raised.value.where == str(tmp_path / name)


def test_a_misspelt_keyword_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"did you mean pretrained\?"):
        resolve.resolve_weights("pretraned", RESNET18, cache=tmp_path)
