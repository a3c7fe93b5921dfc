"""The wheel: one name in site-packages, and the whole chain from it."""

from __future__ import annotations

import compileall
import json
import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.catalog import JOINERS, OPENERS, TARGETS

ROOT = Path(__file__).parents[3]
below_the_name = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")["below_the_name"]
_PARTS = ("edgewright", "pipeline", "exporters", "benchmarks")
_RUN = """
import sys
import edgewright
assert edgewright.__file__.startswith(sys.argv[1]), edgewright.__file__
from edgewright.pipeline.cli.main import app
try:
    app(args=sys.argv[2:])
except SystemExit as left:
    assert not left.code, left.code
assert not {"pipeline", "exporters", "benchmarks"} & set(sys.modules)
"""
_FIND_ALL = """
import ast, importlib, json, re, sys
from pathlib import Path

site = Path(sys.argv[1])
sources = sorted((site / "edgewright").rglob("*.py"))
modules = {".".join(path.relative_to(site).with_suffix("").parts).removesuffix(".__init__") for path in sources}
moved, asked, foreign = {"pipeline", "exporters", "benchmarks"}, set(), set()
for node in (node for path in sources for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
    if isinstance(node, ast.ImportFrom):
        module, names = node.module or "", [one.name for one in node.names]
    elif isinstance(node, ast.Constant) and re.fullmatch(r"(\\w+[.])+\\w+(:\\w+)?", str(node.value)):
        module, _, name = str(node.value).partition(":")
        names = [name or "__name__"]
    else:
        continue
    if module.split(".")[0] in moved:
        foreign.add(module)
    elif module.split(".")[0] == "edgewright":
        asked |= {(module, name) for name in names if f"{module}.{name}" not in modules}
for module in sorted(modules):
    assert importlib.import_module(module).__file__.startswith(str(site)), module
for module, name in sorted(asked):
    getattr(importlib.import_module(module), name)
foreign |= moved & set(sys.modules)
print(json.dumps({"modules": len(modules), "asked": sorted(map(":".join, asked)), "foreign": sorted(foreign)}))
"""


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel puts into site-packages."""
    root = tmp_path_factory.mktemp("wheel")
    for name in _PARTS:
        shutil.copytree(ROOT / name, root / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root / "source" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(root), str(root / "source")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = root.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(root / "site")
    compileall.compile_dir(root / "site", quiet=2)  # as installers do; every process of a run would do it else
    return root / "site"


def test_the_wheel_takes_one_name_and_says_so(unpacked: Path) -> None:
    (info,) = unpacked.glob("*.dist-info")

    assert {path.name for path in unpacked.iterdir()} == {"edgewright", info.name}
    assert (info / "top_level.txt").read_text() == "edgewright\n"
    assert "edgewright = edgewright.__main__:main" in (info / "entry_points.txt").read_text()
    assert (unpacked / "edgewright" / "py.typed").exists()


def test_every_file_beside_the_modules_is_in_the_wheel(unpacked: Path) -> None:
    """Templates, styles and marks; what is not named in ``package-data`` would be lost without a word."""

    def beside(root: Path) -> dict[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files if path.suffix != ".py"}

    moved = {f"{name}/{path}": data for name in _PARTS for path, data in beside(ROOT / name).items()}
    shipped = beside(unpacked / "edgewright")

    assert "pipeline/report/templates/report.css" in moved
    assert shipped == {path.removeprefix("edgewright/"): data for path, data in moved.items()}


def test_whatever_the_wheel_s_modules_import_or_name_is_in_it(unpacked: Path, tmp_path: Path) -> None:
    """Within functions too, and the names in tables and of processes that are started."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _FIND_ALL, str(unpacked)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(unpacked)},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["foreign"] == []
    assert found["modules"] == sum(len([*(ROOT / name).rglob("*.py")]) for name in _PARTS)
    named = [*OPENERS.values(), *TARGETS.values(), *JOINERS.values(), "pipeline.evaluation.worker:__name__"]
    assert {f"edgewright.{name}" for name in named} <= set(found["asked"])


@pytest.mark.slow  # the test above finds what its processes import and name
def test_a_network_goes_through_the_whole_chain_from_the_wheel(
    unpacked: Path, workshop: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    deploy = ["deploy", "--recipe", "recipe.yaml", "--out", str(out)]
    # An ensemble of teachers is measured in processes that find its parts by their names.
    (tmp_path / "second.py").write_text((workshop / "net.py").read_text(encoding="utf-8"), encoding="utf-8")
    taught = ["--set", "skip=[prune]", "--teacher", "net.py:tiny", "--teacher", f"{tmp_path}/second.py:tiny", "--quick"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _RUN, str(unpacked), *deploy, *taught],
        capture_output=True,
        text=True,
        check=False,
        cwd=workshop,
        env={**environment, "PYTHONPATH": str(unpacked), "EDGEWRIGHT_CACHE": str(tmp_path / "cache")},
        timeout=240,
    )

    assert done.returncode == 0, done.stderr
    assert (out / "bundle" / "manifest.json").exists()


@pytest.mark.parametrize("name", [*OPENERS.values(), *TARGETS.values(), *JOINERS.values()])
def test_what_is_named_in_a_table_is_found_below_the_one_name(name: str) -> None:
    assert below_the_name(f'PATH = "{name}"\n', "table.py") == f'PATH = "edgewright.{name}"\n'


@pytest.mark.parametrize("source", ['f"pipeline.tasks.{name}:joined"', "rf'exporters.{name}'"])
def test_a_name_that_is_put_together_when_it_is_needed_is_refused(source: str) -> None:
    with pytest.raises(SyntaxError, match=r"table\.py:1: write the whole path"):
        below_the_name(f"PATH = {source}\n", "table.py")


def test_the_measuring_code_of_the_wheel_starts_on_a_device(unpacked: Path, tmp_path: Path) -> None:
    made = (
        "import pathlib, sys; from edgewright.pipeline.devices.measuring_code import measuring_code as made; "
        "pathlib.Path(sys.argv[1]).write_bytes(made().data); "
        "assert not {'pipeline', 'exporters', 'benchmarks'} & set(sys.modules)"
    )
    code = tmp_path / "code.pyz"
    subprocess.run([sys.executable, "-c", made, str(code)], cwd=unpacked, check=True)

    done = subprocess.run(
        [sys.executable, str(code), "agent", str(tmp_path / "home"), sys.executable],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert '"agent": "code"' in done.stdout
    names = zipfile.ZipFile(code).namelist()
    assert {name.partition("/")[0] for name in names} == {"edgewright", "__main__.py"}
    assert "edgewright/exporters/ort_cpu/session.py" in names
