"""That images are still those which a result is filed under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_file
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.data.dataset import Sample

__all__ = ["refuse_changed"]


def refuse_changed(samples: Iterable[Sample]) -> None:
    """See that no file became another one since the data set was opened; one whose size and time stayed is trusted.

    Raises:
        DataError: naming the first that changed or went.
    """
    changed = [sample for sample in samples if _changed(sample)]
    if changed:
        raise DataError(
            "the data changed while it was used"
            + (f": {len(changed)} images are others than at the start" if len(changed) > 1 else ""),
            where=str(changed[0].path),
            got="another content than at the start" if changed[0].path.exists() else "no such file any more",
            fix="leave the images alone and start again; what came of the changed ones is not kept",
        )


def _changed(sample: Sample) -> bool:
    if sample.status is None:
        return False
    try:
        status = sample.path.stat()
        same = (status.st_size, status.st_mtime_ns) == sample.status
        return not same and sha256_of_file(sample.path) != sample.sha256
    except OSError:
        return True
