"""Answers leave the house, the teacher does not: two owners, one student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_QUICK = ("--set", "baseline.schedule.epochs=4", "--set", "baseline.schedule.batch_size=16")
_SMALL = (
    "--set",
    "input.size=16",
    "--set",
    "input.resize=squash",
    "--set",
    "input.mean=0.5",
    "--set",
    "input.std=0.25",
)


@pytest.fixture(scope="module")
def theirs(edgewright: Any, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ANN401
    """What the tiny network, trained here, says of the colours."""
    file: Path = tmp_path_factory.mktemp("shared") / "theirs.safetensors"
    done = edgewright(
        "answers",
        "net.py:tiny",
        "--data",
        str(tiny_data),
        "--out",
        str(file),
        *_SMALL[:-2],
        *_QUICK,
        cache=file.parent / "c",
    )
    assert done.returncode == 0, done.stderr
    assert "assumed: std taken as ImageNet's custom; set input.std" in " ".join(done.stdout.split())
    assert f"answers of tiny to 120 images: {file}" in done.stdout
    return file


@pytest.mark.slow
def test_a_student_learns_from_answers_alone(
    edgewright: Any,  # noqa: ANN401
    theirs: Path,
    tiny_data: Path,
    tmp_path: Path,
) -> None:
    arguments = ("--teacher", str(theirs), "--skip", "prune", "--budget", "0", "--set", "distill.schedule.epochs=2")
    done = edgewright(
        "deploy", "net.py:tiny", "--data", str(tiny_data), *_SMALL, *_QUICK, *arguments,
        "--set", "measure.processes=1", "--out", str(tmp_path / "out"), cache=tmp_path / "cache",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "learned from theirs" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_the_file_says_whose_and_about_what(theirs: Path) -> None:
    from pipeline.training.answers_file import read_shared

    found = read_shared(theirs)
    assert found.classes == ("blue", "green", "red")
    assert len(found.names) == 120
    assert all(name.startswith("train/") for name in found.names)


@pytest.mark.parametrize("out", ["answers.bin", "nowhere/answers.safetensors"])
def test_a_name_that_cannot_be_written_is_one_error(edgewright: Any, out: str) -> None:  # noqa: ANN401
    done = edgewright("answers", "net.py:tiny", "--out", out)
    assert done.returncode == 2
    assert "--out names no file that can be written" in done.stderr
    assert "Traceback" not in done.stderr
