"""What decides a result makes it anew, from the stage on that it decides; what does not leaves all as it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.tiny_job import Ended

__all__ = ["IRRELEVANT", "RELEVANT", "changed_keys"]

_CHAIN = ("baseline", "prune", "calibrate", "export", "build")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that is otherwise.

    Attributes:
        name: What.
        first: The first stage that has to run again; None where none has to.
        settings: Of the recipe, as they are typed.
        make: Makes another job in a copy of its folder.
        variables: Of the environment; where there are some, in a process of its own.
        under: A command that starts it, in a process of its own.
        packages: Modules that can be imported besides, by their names; likewise.
    """

    name: str
    first: str | None = None
    settings: tuple[str, ...] = ()
    make: Callable[[Path], None] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    under: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)


def _set(first: str, *settings: str) -> Change:
    return Change(name=" ".join(settings), first=first, settings=settings)


def _first_image(folder: Path) -> Path:
    return min((folder / "colours" / "train" / "red").iterdir())


def _another_network(folder: Path) -> None:
    """Of the same name with the same shapes: its activations differ."""
    file = folder / "net.py"
    file.write_text(file.read_text(encoding="utf-8").replace("nn.ReLU()", "nn.ReLU6()"), encoding="utf-8")


def _another_pixel(folder: Path) -> None:
    from PIL import Image

    file = _first_image(folder)
    with Image.open(file) as image:
        image.load()
    image.putpixel((0, 0), (1, 2, 3))
    image.save(file)


def _another_image(folder: Path) -> None:
    from PIL import Image

    Image.new("RGB", (16, 16), (9, 9, 9)).save(_first_image(folder).with_name("more.png"))


def _another_label(folder: Path) -> None:
    file = _first_image(folder)
    file.rename(folder / "colours" / "train" / "blue" / "moved.png")


def _another_class(folder: Path) -> None:
    for part in ("train", "val"):
        (folder / "colours" / part / "red").rename(folder / "colours" / part / "scarlet")


def _younger(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path)


def _turned(folder: Path) -> None:
    """The recipe's sections in the reverse order."""
    file = folder / "recipe.yaml"
    file.write_text("".join(reversed(file.read_text(encoding="utf-8").splitlines(keepends=True))), encoding="utf-8")


def _remarked(folder: Path) -> None:
    file = folder / "recipe.yaml"
    file.write_text(f"# a remark\n\n{file.read_text(encoding='utf-8')}", encoding="utf-8")


RELEVANT = (
    _set("baseline", "seed=1"),
    _set("baseline", "baseline.schedule.epochs=3"),
    _set("baseline", "baseline.schedule.batch_size=8"),
    _set("baseline", "baseline.schedule.learning_rate=0.01"),
    _set("baseline", "baseline.schedule.label_smoothing=0.2"),
    _set("baseline", "baseline.schedule.optimizer=sgd"),
    _set("baseline", "baseline.schedule.augment=[]"),
    _set("baseline", "data.validation=0.1"),
    _set("baseline", "input.size=24"),
    _set("baseline", "input.mean=0.4"),
    _set("baseline", "input.std=0.3"),
    _set("baseline", "input.interpolation=nearest"),
    _set("baseline", "input.channels=BGR"),
    Change(name="another network of the same name and shapes", first="baseline", make=_another_network),
    Change(
        name="a package from elsewhere that the network imports",
        first="baseline",
        packages={"activations": "from torch.nn import ReLU6 as ReLU\n"},
    ),
    Change(name="another pixel of a training image", first="baseline", make=_another_pixel),
    Change(name="a training image more", first="baseline", make=_another_image),
    Change(name="a training image of another class", first="baseline", make=_another_label),
    Change(name="another name of a class", first="baseline", make=_another_class),
    Change(name="a training image less", first="baseline", make=lambda folder: _first_image(folder).unlink()),
    _set("prune", "prune.ratio=0.3"),
    _set("prune", "prune.importance=random"),
    _set("prune", "prune.round_to=4"),
    _set("prune", "prune.schedule.epochs=2"),
    _set("calibrate", "calibrate.opset=17"),
    _set("export", "export.method=minmax"),
    _set("export", "export.bias_correction=false"),
    _set("export", "build.input=uint8"),  # which form is exported is decided by measuring what is built
)
IRRELEVANT = (
    Change(name="another place", make=lambda _: None),
    Change(name="files that were touched", make=_younger),
    Change(name="the recipe in another order", make=_turned),
    Change(name="a remark in the recipe", make=_remarked),
    Change(name="a package from elsewhere that the network does not import", packages={"others": ""}),
    Change(name="another home", variables={"HOME": "/nonexistent"}),
    Change(name="another time zone", variables={"TZ": "Asia/Kolkata"}),
    Change(name="another locale", variables={"LC_ALL": "tr_TR.UTF-8"}),
    Change(name="another hash seed", variables={"PYTHONHASHSEED": "1"}),
    Change(name="another user", variables={"USER": "another", "LOGNAME": "another"}),
    Change(name="another umask", under=("sh", "-c", 'umask 077; exec "$@"', "sh")),
)


def changed_keys(campaign: Campaign, tries: int) -> Outcome:
    """Ask what would run after each change, first those that matter; each is one try."""
    with timed(
        "A change that decides a result makes it and what follows anew and nothing before it, and one that does not "
        "makes nothing anew",
        campaign.shown,
    ) as outcome:
        cache = campaign.copy("changed-store")  # records of other data come into it
        changes = (*RELEVANT, *IRRELEVANT)
        for number in range(tries):
            change = changes[number * len(changes) // tries if tries < len(changes) else number % len(changes)]
            failure = _failure(_asked(campaign, cache, number, change), change.first)
            outcome.tried(failure and f"{change.name}: {failure}")
    return outcome


def _asked(campaign: Campaign, cache: Path, number: int, change: Change) -> Ended:
    job = campaign.job
    settings = (word for setting in change.settings for word in ("--set", setting))
    typed = ("explain", "--recipe", "recipe.yaml", *settings, "--json")
    if change.variables or change.under or change.packages:
        there = replace(job, variables={**change.variables, **_path_to(change.packages, job.folder / "packages")})
        return job.ended(there.start(cache, *typed, under=change.under))
    if change.make is not None:
        folder = job.folder / "changed" / str(number)
        folder.mkdir(parents=True)
        for name in ("net.py", "recipe.yaml"):
            shutil.copy2(job.folder / name, folder / name)
        shutil.copytree(job.folder / "colours", folder / "colours")
        (folder / "tmp").mkdir()
        change.make(folder)
        job = replace(job, folder=folder)
    return job.ended(campaign.start(job, cache, *typed))


def _path_to(packages: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Write them into a folder of their own, and name the variable by which Python finds them."""
    if not packages:
        return {}
    place = folder / "-".join(packages)
    place.mkdir(parents=True, exist_ok=True)  # with more tries a change comes again
    for name, text in packages.items():
        (place / f"{name}.py").write_text(text, encoding="utf-8")
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{place}{os.pathsep}{before}" if before else str(place)}


def _failure(end: Ended, first: str | None) -> str | None:
    if end.code:
        return f"ended with {end.code}: {end.err.strip()[-300:]}"
    found = {one["stage"]: one["status"] for one in json.loads(end.out)["stages"] if one["stage"] in _CHAIN}
    place = len(_CHAIN) if first is None else _CHAIN.index(first)
    wanted = {stage: "cached" if number < place else "would run" for number, stage in enumerate(_CHAIN)}
    return None if found == wanted else f"{found}"
