"""``import edgewright``: light, and the same answers as the bundle's own script; its page runs as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import edgewright
from pipeline.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from conftest import Deployed

    from pipeline.recipe import Recipe

ROOT = Path(__file__).parents[3]
_HEAVY = ("torch", "torchvision", "onnx", "onnxruntime", "numpy", "pydantic", "typer", "rich")


def test_importing_it_loads_nothing_heavy() -> None:
    code = f"import sys, edgewright; print(sorted({set(_HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("loaded", "waits"), [(False, "PASSIVE 1000"), (True, "None None")])
def test_idle_threads_rest_in_trainings_too_unless_torch_has_begun(*, loaded: bool, waits: str) -> None:
    code = f"""
import os, sys, types
if {loaded}:
    sys.modules["torch"] = types.ModuleType("torch")
import edgewright
try:
    edgewright.deploy(settings={{"no.such.key": 1}})
except edgewright.EdgewrightError:
    print(os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT"))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "EDGEW"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"{waits}\n"


def test_arguments_leave_the_recipe_alone_and_settings_change_what_they_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):  # noqa: N818 - no error
        pass

    def ask(recipe: Recipe, *_: object, **__: object) -> None:
        raise Asked(recipe)

    monkeypatch.setattr("pipeline.chain.plan.make_plan", ask)
    (tmp_path / "r.yaml").write_text("model: resnet18\ndata: {source: mine, test_images: 9}\n", encoding="utf-8")
    with pytest.raises(Asked) as asked:
        edgewright.deploy(recipe=tmp_path / "r.yaml", settings={"data": {"test_images": None}, "model.output": "a"})
    (recipe,) = asked.value.args
    assert (recipe.model, recipe.data.source, recipe.data.test_images) == ("resnet18", "mine", None)
    assert recipe.network.output == "a"


def test_a_bundle_answers_as_its_own_script_does(deployed: Deployed, workshop: Path) -> None:
    photo = workshop / "colours/val/red/000.png"
    code = f"from run import Model; import json; print(json.dumps(Model().run({str(photo)!r}, top=2)))"
    done = subprocess.run(
        [sys.executable, "-P", "-B", "-c", f"import sys; sys.path.insert(0, {str(deployed.out / 'bundle')!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    with edgewright.Bundle.open(deployed.out / "bundle") as bundle:
        found = bundle.run(photo, top=2)
        opened = bundle.run(Image.open(photo), top=2)

    assert found == opened
    assert [(one.label, one.index) for one in found] == [(o["class"], o["index"]) for o in json.loads(done.stdout)]
    np.testing.assert_allclose(
        [one.probability for one in found], [o["probability"] for o in json.loads(done.stdout)], rtol=1e-6
    )


def test_an_opened_image_is_turned_and_scaled_like_a_file(deployed: Deployed, tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    turned = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 64, 3), np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)

    with edgewright.Bundle.open(deployed.out / "bundle") as bundle:
        for name in ("grey.png", "turned.png"):
            with Image.open(tmp_path / name) as opened:
                np.testing.assert_array_equal(bundle.logits(opened), bundle.logits(tmp_path / name))


def test_a_damaged_bundle_is_refused(deployed: Deployed, tmp_path: Path) -> None:
    shutil.copytree(deployed.out / "bundle", tmp_path / "bundle")
    (tmp_path / "bundle" / "classes.txt").write_text("other\n", encoding="utf-8")
    with pytest.raises(IntegrityError, match="not what its manifest says"):
        edgewright.verify(tmp_path / "bundle")


def test_a_bundle_of_another_task_says_how_it_is_asked(deployed: Deployed) -> None:
    bundle = edgewright.Bundle.open(deployed.out / "bundle")
    with pytest.raises(UsageError) as told:
        bundle.detect("photo.png")
    assert (told.value.what, told.value.fix) == (
        "this bundle is for classification",
        "ask it with run(image) or logits(image)",
    )

    detector = edgewright.Bundle(replace(bundle._verified, manifest={**bundle.manifest, "task": "detection"}))
    for asked in (detector.run, detector.logits):
        with pytest.raises(UsageError) as told:
            asked("photo.png")
        assert (told.value.what, told.value.fix) == ("this bundle is for detection", "ask it with detect(image)")


def test_what_its_methods_give_can_be_named() -> None:
    assert {"Answer", "Bundle", "Found"} <= set(edgewright.__all__)
    assert all(hasattr(edgewright, name) for name in edgewright.__all__)


def test_every_example_of_its_page_runs(
    deployed: Deployed, workshop: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    for name in ("net.py", "recipe.yaml"):
        shutil.copy(workshop / name, tmp_path / name)
    shutil.copytree(workshop / "colours", tmp_path / "colours")
    shutil.copy(workshop / "colours/val/red/000.png", tmp_path / "photo.png")
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 4
    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**environment, "EDGEWRIGHT_CACHE": str(deployed.cache)},
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
