"""The documentation: links lead somewhere, and the table of the architecture names what is there."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (?P<wish>[^|]+) \| `(?P<file>[^`|]+)` \| `(?P<name>[^`|]+)` \|$", re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def _broken(page: Path, link: str) -> str | None:
    """Why a link leads nowhere; None where it leads somewhere, or out of the repository."""
    if re.match(r"[a-z]+:", link):
        return None
    place, _, anchor = link.partition("#")
    target = page if not place else (page.parent / place).resolve()
    if not target.exists():
        return f"{link}: no such file"
    if anchor and anchor not in _anchors(target):
        return f"{link}: no such heading"
    return None


def _rows() -> list[tuple[str, str, str]]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return [(row["wish"], row["file"], row["name"]) for row in _ROW.finditer(text)]


def _defined(file: Path) -> set[str]:
    """What a module defines at its top."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))

    assert [reason for link in links if (reason := _broken(page, link))] == []


def test_a_link_to_nowhere_is_noticed() -> None:
    assert _broken(ROOT / "README.md", "docs/nowhere.md") == "docs/nowhere.md: no such file"
    assert _broken(ROOT / "README.md", "docs/gate.md#nowhere") == "docs/gate.md#nowhere: no such heading"


def test_the_wheel_that_is_installed_is_the_one_that_is_built() -> None:
    from pipeline import __version__

    for page in ("README.md", "docs/install.md"):
        names = set(re.findall(r"edgewright-[\w.-]+?\.whl", (ROOT / page).read_text(encoding="utf-8")))
        assert names == {f"edgewright-{__version__}-py3-none-any.whl"}


def test_the_example_for_github_actions_types_commands_that_exist() -> None:
    """Its lines are those of a shell: every target of make, and every command with its options, is there."""
    import yaml
    from typer.main import get_command

    from pipeline.cli.main import app

    (job,) = yaml.safe_load((ROOT / "docs" / "examples" / "gate.yml").read_text(encoding="utf-8"))["jobs"].values()
    lines = [line.strip() for step in job["steps"] for line in step.get("run", "").splitlines()]
    targets = re.findall(r"\bmake -C \w+ (\w+)", "\n".join(lines))
    typed = [line.split("edgewright ")[1].split(" || ")[0].split() for line in lines if "/edgewright " in line]

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets == ["deploy", "deploy"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    ((command, *words),) = typed
    known = {option for one in get_command(app).commands[command].params for option in one.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_fleets_of_their_page_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.fleet.cells import cells_of, read_fleet

    monkeypatch.chdir(tmp_path)
    Path("half.yaml").write_text("data: {test_images: 200}\n", encoding="utf-8")
    found = []
    page = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)):
        path = Path(f"{number}.yaml")
        path.write_text(block, encoding="utf-8")
        found.append(len(cells_of(read_fleet(path), path)))

    assert found == [6, 60]


def _typed(text: str) -> list[str]:
    """Every ``edgewright ...`` in the blocks of a page, line by line."""
    lines = [line for block in _FENCED.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?edgewright ", line)]


def _mentioned(text: str) -> list[str]:
    """Every one within its sentences, where what follows from the context may be left out."""
    return [line.removesuffix(" ...") for line in re.findall(r"`(edgewright [^`]+)`", _FENCED.sub("", text))]


def _words(line: str) -> list[str]:
    """As a shell gives them to the command: without comments, and up to a pipe, a redirection or another command."""
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|>;&")
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set("|>;&"):
            break
        words.append(word)
    return words[1:]


def _without_work(command: Any) -> Any:  # noqa: ANN401 - typer's own copy of click is private
    """The command, and those below it, parsing their options and doing nothing, nor for ``--install-completion``."""
    command.callback = lambda **_: None
    for option in command.params:
        option.callback = None
    for below in getattr(command, "commands", {}).values():
        _without_work(below)
    return command


@cache
def _parser() -> Any:  # noqa: ANN401 - as above
    from typer.main import get_command

    from pipeline.cli.main import app

    return _without_work(get_command(app))


def _refused(words: list[str]) -> str | None:
    """What the command line says against these words; None where it takes them. Nothing is run."""
    if words in (["--install-completion"], ["--show-completion"], ["--version"]):
        return None  # what these do is done in place of a command
    try:
        _parser().main(words, prog_name="edgewright", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):  # all errors of a command line have it, and no others
            raise
        return str(error.format_message())
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_can_be_typed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    refused = {line: told for line in _typed(text) if (told := _refused(_words(line)))}
    for line in _mentioned(text):
        told = _refused(_words(line))
        if told is not None and not told.startswith("Missing "):
            refused[line] = told

    assert refused == {}


def test_a_command_that_cannot_be_typed_is_noticed() -> None:
    assert _refused(_words("edgewright deploy resnet18 --set a=1 b=2 c=3")) is not None
    assert _refused(_words("edgewright depoly resnet18")) is not None
    assert _refused(_words("edgewright deploy resnet18 --set a=1 --set b=2  # two of them")) is None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_setting_has_its_own_option(page: Path) -> None:
    """Also where a sentence shows settings alone."""
    assert re.findall(r"--set [\w.]+=\S+ [\w.]+=\S*", page.read_text(encoding="utf-8")) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_dockerfile_builds_and_its_container_runs() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker here, or its daemon does not run")
    subprocess.run([docker, "build", "--tag", "edgewright-test", str(ROOT)], check=True)
    done = subprocess.run(
        [docker, "run", "--rm", "edgewright-test", "targets"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("ort-cpu ")


def test_the_table_of_what_to_open_is_long_and_asks_nothing_twice() -> None:
    wishes = [wish for wish, _, _ in _rows()]

    assert len(wishes) >= 30
    assert len(set(wishes)) == len(wishes)


@pytest.mark.parametrize(("wish", "file", "name"), _rows(), ids=[row[0] for row in _rows()])
def test_the_named_file_holds_the_named_thing(wish: str, file: str, name: str) -> None:
    assert name in _defined(ROOT / file), f"{wish}: {file} does not define {name}"
