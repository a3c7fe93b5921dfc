"""A data set as the rest of the project sees it: image files, labels, splits, class names."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Literal

from PIL import Image

from pipeline.artifact import sha256_of_json
from pipeline.data.boxes import Objects
from pipeline.errors import DataError
from pipeline.image_input import IMAGE_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.data.boxes import Box
    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import Array

__all__ = [
    "Dataset",
    "Label",
    "Sample",
    "SplitName",
    "judged_samples",
    "read_image",
    "read_images",
    "rotating_samples",
    "shorter_side",
]

SplitName = Literal["train", "validation", "calibration", "test"]

Label = int | Objects
"""What is known of an image: its class as an index into the data set's, or the objects on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One labelled image file.

    Attributes:
        path: Where it lies; does not count for equality, so that a moved data set is the same data set.
        name: Path relative to the data set's root, POSIX.
        label: What is known of it.
        sha256: Hash of the file.
        status: Its size in bytes and modification time (ns) when it was hashed, where it may change; not identity.
    """

    path: Path = field(compare=False)
    name: str
    label: Label
    sha256: str
    status: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def classes(self) -> tuple[int, ...]:
        """The class of everything that is known of the image, as indices into the data set's."""
        return (self.label,) if isinstance(self.label, int) else tuple(box.label for box in self.label.boxes)

    @property
    def learned_classes(self) -> tuple[int, ...]:
        """The same without crowds, which nobody is trained on."""
        return self._classes_of(lambda box: not box.crowd)

    @property
    def scored_classes(self) -> tuple[int, ...]:
        """The same of what has to be found."""
        return self._classes_of(lambda box: box.counts)

    def _classes_of(self, taken: Callable[[Box], bool]) -> tuple[int, ...]:
        if isinstance(self.label, int):
            return (self.label,)
        return tuple(box.label for box in self.label.boxes if taken(box))

    @property
    def counts(self) -> bool:
        """Whether it shows something that an answer is right or wrong about."""
        return isinstance(self.label, int) or self.label.any_counts

    def label_to_json(self) -> Json:
        """What is known of the image, as JSON."""
        return self.label if isinstance(self.label, int) else self.label.to_json()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Disjoint splits of labelled images.

    Attributes:
        name: For people; not part of the identity.
        task: Name of the task that its labels are for.
        classes: Class names in the order of the network's outputs.
        train: May be empty: then nothing can be trained.
        validation: Held back from training to judge its epochs by; empty unless asked for.
        calibration: For ranges, sensitivity and pruning decisions; never scored.
        test: Scored, and nothing else.
    """

    name: str = field(compare=False)
    task: str = "classification"
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...] = ()
    calibration: tuple[Sample, ...]
    test: tuple[Sample, ...]

    def split(self, name: SplitName) -> tuple[Sample, ...]:
        """The samples of one split."""
        return {
            "train": self.train,
            "validation": self.validation,
            "calibration": self.calibration,
            "test": self.test,
        }[name]

    def split_identity(self, name: SplitName) -> str:
        """Hash over the class names and the split's images with their labels, in order."""
        rows = [[sample.name, sample.label_to_json(), sample.sha256] for sample in self.split(name)]
        return sha256_of_json({"classes": list(self.classes), "samples": rows})


def read_image(sample: Sample, preprocess: PreprocessSpec, dtype: str = "float32") -> Array:
    """The network's input for one sample: float32 (3, height, width), or uint8 (height, width, 3).

    Raises:
        DataError: naming the file, when it cannot be decoded.
    """
    try:
        return preprocess.load(str(sample.path), dtype)
    except MemoryError:
        raise
    except Exception as error:  # on broken files decoders raise anything
        raise DataError(
            "this image cannot be decoded", where=str(sample.path), got=str(error), fix="replace or remove the file"
        ) from error


def shorter_side(samples: Sequence[Sample]) -> float:
    """The median of the images' shorter sides, pixels; only their headers are read."""
    return median(min(size) for size in map(_stored_size, samples))


def side_ratio(samples: Sequence[Sample]) -> float:
    """The median of the ratios of the images' widths to their heights; of labelled boxes as these see the images."""
    sizes = [one.label.size if isinstance(one.label, Objects) else _stored_size(one) for one in samples]
    return median(wide / high for wide, high in sizes)


def _stored_size(sample: Sample) -> tuple[int, int]:
    with Image.open(sample.path, formats=IMAGE_FORMATS) as opened:
        return opened.size


def rotating_samples(samples: Sequence[Sample], count: int = 64) -> tuple[Sample, ...]:
    """``count`` samples spread over a split, or all of a smaller one: the inputs that latency is measured with."""
    number = min(count, len(samples))
    return tuple(samples[place * len(samples) // number] for place in range(number))


def judged_samples(samples: Sequence[Sample], count: int) -> tuple[Sample, ...]:
    """As of :func:`rotating_samples`, but where these show nothing that can be right or wrong, of those that do."""
    chosen = rotating_samples(samples, count)
    if any(sample.counts for sample in chosen):
        return chosen
    return rotating_samples([sample for sample in samples if sample.counts], count) or chosen


def read_images(samples: Iterable[Sample], preprocess: PreprocessSpec, dtype: str = "float32") -> Iterator[Array]:
    """The network's inputs one after the other, as of :func:`read_image` with a batch axis of 1: nothing is kept."""
    for sample in samples:
        yield read_image(sample, preprocess, dtype)[None]
