"""A bundle as an object: open it, ask it about images, close it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from exporters.bundle import Bundle as VerifiedBundle
    from pipeline.session import Session

__all__ = ["Answer", "Bundle", "Found"]

_ASKED_WITH = {"classification": "run(image) or logits(image)", "detection": "detect(image)"}
"""Methods of :class:`Bundle`, by what it is for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One class that an image may show: its name, its place in ``classes.txt``, and a share of 1."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True, slots=True)
class Found:
    """One object on an image: its class's name and place in ``classes.txt``, a share of 1, and where it is.

    Attributes:
        box: Left, top, right and bottom in pixels of the upright image.
    """

    label: str
    index: int
    score: float
    box: tuple[float, float, float, float]


class Bundle:
    """A verified bundle on this machine; its model is loaded at the first image and stays until :meth:`close`.

    Its answers are those of the bundle's own ``run.py``. On a device that has no edgewright, import that one instead:
    ``from run import Model``.
    """

    def __init__(self, verified: VerifiedBundle) -> None:
        self._verified = verified
        self._session: Session | None = None

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Read a bundle and see that every byte of it is what its manifest says.

        Raises:
            EdgewrightError: when it is not.
        """
        from exporters.bundle import read_bundle

        return cls(read_bundle(Path(folder)))

    @property
    def root(self) -> Path:
        """Its folder."""
        return self._verified.root

    @property
    def sha256(self) -> str:
        """Its identity: the hash of its manifest."""
        return self._verified.sha256

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of its outputs."""
        return self._verified.classes

    @property
    def manifest(self) -> dict[str, Any]:
        """What it says of itself: model, target, precision, versions, provenance, files."""
        return dict(self._verified.manifest)

    def logits(self, image: Path | str | Image) -> NDArray[np.float32]:
        """The network's outputs for one image, (classes,); an image is a file or one that Pillow has opened.

        Raises:
            OSError: when a file cannot be read as an image.
            ValueError: when it is too large, no plain file, or its pixels have no known range.
            UsageError: when the bundle is no classifier.
        """
        self._check_task("classification")
        _, (logits,) = self._answered(image)
        return logits

    def run(self, image: Path | str | Image, *, top: int = 5) -> tuple[Answer, ...]:
        """The likeliest classes of one image, the likeliest first.

        Args:
            image: A file, or an image that Pillow has opened.
            top: How many, at most.

        Raises:
            OSError: when a file cannot be read as an image.
            ValueError: when it is too large, no plain file, or its pixels have no known range.
            UsageError: when the bundle is no classifier; a detector's is asked with :meth:`detect`.
        """
        from pipeline.tasks.reading.classification import likeliest

        answers = self._verified.manifest.get("answers", "logits")
        found = likeliest(self.logits(image), answers, self.classes, top)
        return tuple(Answer(one["class"], one["index"], one["probability"]) for one in found)

    def detect(self, image: Path | str | Image, *, score: float = 0.5) -> tuple[Found, ...]:
        """The objects that a detector finds on one image, the likeliest first.

        Args:
            image: A file, or an image that Pillow has opened.
            score: Nothing less likely is given.

        Raises:
            OSError: when a file cannot be read as an image.
            UsageError: when the bundle is no detector.
        """
        from pipeline.tasks.reading.detection import boxes_found

        self._check_task("detection")
        size, outputs = self._answered(image)
        spec = self._verified.preprocess.model_dump(mode="json")
        found = boxes_found(outputs, self._verified.manifest["answers"], self.classes, spec, size, score)
        return tuple(Found(one["class"], one["index"], one["score"], tuple(one["box"])) for one in found)

    def _check_task(self, wanted: str) -> None:
        from pipeline.errors import UsageError

        task = self._verified.manifest["task"]
        if task != wanted:
            raise UsageError(
                f"this bundle is for {task}",
                where=str(self.root),
                expected=f"one for {wanted}",
                fix=f"ask it with {_ASKED_WITH[task]}",
            )

    def _answered(self, image: Path | str | Image) -> tuple[tuple[int, int], list[NDArray[Any]]]:
        """Width and height of the upright image, and every output for it, without its batch axis."""
        from pipeline.image_input import load_image, preprocess_image, upright_rgb

        pixels = load_image(str(image)) if isinstance(image, (str, Path)) else upright_rgb(image)
        session = self._opened()
        spec = self._verified.preprocess.model_dump(mode="json")
        outputs = session.run(preprocess_image(pixels, spec, session.spec.input.dtype)[None])
        return pixels.size, [output[0].copy() for output in outputs]

    def close(self) -> None:
        """Release the model; the bundle may be asked again, which loads it anew."""
        if self._session is not None:
            self._session.__exit__(None, None, None)
            self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _opened(self) -> Session:
        if self._session is None:
            from exporters.bundle import read_bundle
            from pipeline.catalog import OPENERS
            from pipeline.errors import IntegrityError
            from pipeline.import_path import object_at

            session: Session = object_at(OPENERS[self._verified.spec.target])(self.root, self._verified.spec)
            opened = session.__enter__()
            if read_bundle(self.root).sha256 != self.sha256:
                opened.__exit__(None, None, None)
                raise IntegrityError(
                    "this bundle was replaced by another since it was opened", where=str(self.root), fix="open it again"
                )
            self._session = opened
        return self._session
