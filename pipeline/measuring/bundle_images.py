"""The images a bundle is judged with: named by the user, embedded, or remembered from the run that made it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporters.provenance import PROVENANCE
from pipeline.artifact import parse_json
from pipeline.data.open import is_embedded, open_dataset
from pipeline.errors import DataError, IntegrityError
from pipeline.typed_path import typed_path

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.progress import Progress
    from pipeline.recipe import DataSection
    from pipeline.store import Store

__all__ = ["images_for", "remember_dataset"]

_RECORDS = "datasets"


def remember_dataset(store: Store, dataset: Dataset, section: DataSection, *, seed: int) -> None:
    """Note in the user's store where a test split lies, so that a bundle's images are found again on this machine."""
    value: dict[str, Any] = {**section.model_dump(mode="json"), "seed": seed}
    source = typed_path(section.source)
    if source.is_dir() and not is_embedded(section.source):
        value["source"] = str(source.resolve())
    for name in ("calibration_list", "test_list"):
        if value[name]:
            value[name] = str(typed_path(value[name]).resolve())
    store.put_record(_RECORDS, dataset.split_identity("test"), value)


def images_for(bundle: Bundle, data: str | None, store: Store, progress: Progress) -> Dataset:
    """The data set whose test split the bundle is judged with.

    It is split as for the run that made the bundle, as far as that is known here: by the same lists, numbers and seed
    where it is the same data set, else by the seed alone. Bad boxes are left out with a note.

    Args:
        bundle: Says which images its accuracy was measured on.
        data: What the user named; wins.
        store: Remembers where the images of earlier runs lie.
        progress: Told of hashing; and when the images are others than the bundle's own.

    Raises:
        DataError: when nothing was named and the bundle's images are not known on this machine.
        IntegrityError: when the bundle names its images by no hash.
    """
    own = bundle.manifest["provenance"].get("data", {})
    named = re.fullmatch(r"[0-9a-f]{64}", str(own.get("test"))) is not None  # it becomes the name of a file
    known = store.get_record(_RECORDS, own["test"]) if named else None
    if data is None:
        if not named:
            raise IntegrityError(
                "this bundle does not say by a hash which images it was made with",
                where=str(bundle.root),
                got=str(own.get("test")),
                fix="name images with --data",
            )
        name = str(own.get("name"))
        if known is None and not is_embedded(name):
            raise DataError(
                "the images of this bundle are not known on this machine",
                where=str(bundle.root),
                got=f"they were called {name!r}",
                fix="name them with --data",
            )
        options: dict[str, Any] = dict(known or {"source": name, "seed": 0})
    elif known is not None and known["source"] in {data, str(typed_path(data).resolve())}:
        options = dict(known)
    else:
        options = {"source": data, "seed": _seed_of(bundle)}
    for name in ("calibration_list", "test_list"):
        options[name] = Path(options[name]) if options.get(name) else None
    source = options.pop("source")
    dataset = open_dataset(source, cache=store.root / "data", progress=progress, **{**options, "bad_boxes": "drop"})
    if dataset.split_identity("test") != own.get("test"):
        progress.note(f"judged on {len(dataset.test)} images of {dataset.name}, not on those the bundle was made with")
    return dataset


def _seed_of(bundle: Bundle) -> int:
    """By which its run drew the splits, as its provenance says; 0 where that says nothing."""
    try:
        told: Any = parse_json((bundle.root / PROVENANCE).read_text(encoding="utf-8"))
        seed = told["predicate"]["buildDefinition"]["externalParameters"]["stages"][0]["seed"]
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return seed if type(seed) is int else 0
