"""What ``--json`` prints: one document that its published schema describes, and nothing beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter

from pipeline.catalog import TARGETS
from pipeline.cli import documents
from pipeline.cli.documents import document_schema
from pipeline.cli.main import app
from pipeline.gate.baselines.history import Figures, HistoryLine
from pipeline.gate.baselines.shelf import Shelf, case_of

if TYPE_CHECKING:
    from exporters.bundle import Bundle

Edgewright = Callable[..., subprocess.CompletedProcess[str]]
PUBLISHED = Path(__file__).parents[3] / "docs" / "schema" / "commands.schema.json"


def _document(done: subprocess.CompletedProcess[str]) -> Any:  # noqa: ANN401 - a document
    """What was printed, as the record that its schema names; it says the same again."""
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    document = TypeAdapter(documents._Any).validate_json(done.stdout)
    assert json.loads(document.model_dump_json(by_alias=True)) == value
    defined = document_schema()["$defs"][type(document).__name__]
    assert set(value) == set(defined["properties"])
    return document


def test_the_published_schema_is_that_of_the_documents() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == json.dumps(document_schema(), indent=2, sort_keys=True) + "\n"


def test_the_module_prints_what_is_published() -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline.cli.schema"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (PUBLISHED.read_text(encoding="utf-8"), "")


def test_the_published_schema_refuses_unknown_keys_in_every_record() -> None:
    records = json.loads(PUBLISHED.read_text(encoding="utf-8"))["$defs"]
    assert [
        name for name, one in records.items() if "properties" in one and one.get("additionalProperties", True)
    ] == []


def test_nothing_in_a_document_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b[2J\x7f\x9b31m\u202e\U000e0001 \u00e9\n"
    documents.print_document(documents.ModelsDocument(torchvision=(name,), timm=(), yolo=()))
    told = capsys.readouterr().out
    assert told.replace("\n", "").isprintable()
    assert "\u00e9" in told
    assert json.loads(told)["torchvision"] == [name]


def test_models(edgewright: Edgewright) -> None:
    found = _document(edgewright("models", "--json"))
    listed = edgewright("models").stdout.split()

    assert [*found.torchvision, *found.timm, *found.yolo] == listed
    assert "yolo/x-nano" in found.yolo


def test_targets_and_doctor_say_the_same_of_targets(edgewright: Edgewright) -> None:
    targets, doctor = _document(edgewright("targets", "--json")), _document(edgewright("doctor", "--json"))

    assert [one.name for one in targets.targets] == list(TARGETS)
    assert targets.targets == doctor.targets
    assert doctor.libraries["torch"]
    assert targets.targets[0].missing is None


def test_verify(edgewright: Edgewright, trained: Bundle) -> None:
    found = _document(edgewright("verify", str(trained.root), "--json"))

    assert (found.sha256, found.model, found.precision) == (trained.sha256, "net.py:tiny", "float")
    assert found.files == len([path for path in trained.root.rglob("*") if path.is_file()]) - 1  # but the manifest
    assert (found.signer, found.signature_checked) == (None, False)


def test_of_a_damaged_bundle_there_is_no_document(edgewright: Edgewright, tmp_path: Path) -> None:
    done = edgewright("verify", str(tmp_path), "--json")

    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith("error: ")


def test_measure(edgewright: Edgewright, trained: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "record.json"
    done = edgewright(
        "measure", str(trained.root), "--quick", "--data", "colours", "--threads", "1", "--json", "--out", str(out)
    )
    found, record = _document(done), json.loads(out.read_text(encoding="utf-8"))

    assert (found.accuracy.value, found.accuracy.n) == (1.0, 72)
    assert found.sha256 == record["subject"]["bundle_sha256"]
    assert found.latency_s.n == sum(len(one["samples_ns"]) for one in record["measurement"]["processes"])
    assert 0 < found.latency_s.p50 < found.cold_start.import_s
    assert found.conditions["threads"] == 1
    assert (found.latency_s.p99 is None) == bool(found.withheld)
    assert '"import":' in done.stdout


def test_explain(edgewright: Edgewright, tmp_path: Path) -> None:
    found = _document(edgewright("explain", "--recipe", "recipe.yaml", "--json", cache=tmp_path))

    assert [(one.stage, one.status) for one in found.stages] == [
        ("distill", "skipped"),
        ("prune", "skipped"),
        ("baseline", "would run"),
        ("calibrate", "would run"),
        ("export", "would run"),
        ("build", "would run"),
    ]
    assert all(one.reasons for one in found.stages)


@pytest.fixture
def shelf(tmp_path: Path, trained: Bundle) -> Shelf:
    """A folder in which one bundle was accepted twice."""
    found = Shelf(tmp_path / "baselines")
    figures = Figures(machine_class="a" * 16, latency_p50_s=1e-3, size_bytes=1000, accuracy=1.0, test_images="b" * 64)
    for reason in ("the first", "again"):
        line = HistoryLine(time=datetime.now(UTC), bundle=trained.sha256, reason=reason, figures=figures)
        found.accept(trained, line)
    return found


def test_baselines(edgewright: Edgewright, shelf: Shelf, trained: Bundle) -> None:
    typed = ("baseline", "list", "--baselines", str(shelf.root), "--json")
    ((current,), (whole,)) = (_document(edgewright(*typed, *more)).cases for more in ((), ("--history",)))

    assert current.case == case_of(trained)
    assert [line.reason for line in current.accepted] == ["again"]
    assert [line.reason for line in whole.accepted] == ["the first", "again"]


def test_what_was_accepted_on_devices_is_listed_by_their_class(
    shelf: Shelf, trained: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shelf.root, tmp_path / "both" / "devices" / ("c" * 16))
    case = case_of(trained)
    shutil.copytree(shelf.root / case, tmp_path / "both" / case)
    with pytest.raises(SystemExit) as left:
        app(args=["baseline", "list", "--baselines", str(tmp_path / "both"), "--json"])
    assert not left.value.code
    listed = [one["case"] for one in json.loads(capsys.readouterr().out)["cases"]]
    assert listed == [case, f"devices/{'c' * 16}/{case}"]


def test_no_baselines_are_a_document_too(edgewright: Edgewright) -> None:
    assert _document(edgewright("baseline", "list", "--baselines", "empty", "--json")).cases == ()
