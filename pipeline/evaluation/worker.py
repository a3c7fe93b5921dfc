"""``python -m pipeline.evaluation.worker REQUEST.json OUTPUTS.npz``: one engine over a list of images.

Images are decoded by a few threads ahead of the engine; what is kept are the outputs alone.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.image_input import load_image, preprocess_image
from pipeline.import_path import object_at
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.session import Array, Outputs

_AHEAD = 16
_REPORT_EVERY = 25


def main(request_path: str, result_path: str) -> None:
    """Answer one request."""
    request: dict[str, Any] = json.loads(Path(request_path).read_text(encoding="utf-8"))
    rows: list[Outputs] = []
    with object_at(request["opener"])(Path(request["folder"]), EngineSpec.from_json(request["spec"])) as session:
        for image in _images(request["images"], request["preprocess"], session.spec.input.dtype):
            rows.append(tuple(output[0].copy() for output in session.run(image[None])))
            if len(rows) % _REPORT_EVERY == 0:
                print(_REPORT_EVERY, flush=True)  # noqa: T201 - the parent reads it
    print(len(rows) % _REPORT_EVERY, flush=True)  # noqa: T201 - as above
    np.savez(result_path, *(np.stack(output) for output in zip(*rows, strict=True)))


def _images(paths: list[str], preprocess: dict[str, Any], dtype: str) -> Iterator[Array]:
    """Decoded in order, a bounded number ahead, so that memory does not grow with the split."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting: deque[Any] = deque()
        for path in paths:
            waiting.append(pool.submit(_read, path, preprocess, dtype))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read(path: str, preprocess: dict[str, Any], dtype: str) -> Array:
    return preprocess_image(load_image(path), preprocess, dtype)


if __name__ == "__main__":
    main(*sys.argv[1:])
