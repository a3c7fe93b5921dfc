"""Watching activations: smallest, largest and histogram as numpy finds them, whatever the number of images."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from pipeline.errors import DataError
from pipeline.progress import SilentProgress
from pipeline.quantization import observe as observe_module
from pipeline.quantization.graph import Graph
from pipeline.quantization.observe import Observation, observe
from pipeline.quantization.plan import tensors_to_observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BINS = 2048


class _Ticker:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.steps = 0

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        self.steps += steps


def _observe(
    model: Any,  # noqa: ANN401 - ModelProto
    tensors: list[str],
    images: Callable[[], Any],
    ticker: _Ticker | None = None,
) -> dict[str, Observation]:
    return observe(model, tensors, images, ticker or _Ticker())


@pytest.fixture(scope="module")
def doubling(wire: Any) -> Any:  # noqa: ANN401
    """The input twice, then without what is below zero; the output is flat."""
    nodes = [
        helper.make_node("Mul", ["input", "two"], ["doubled"]),
        helper.make_node("Relu", ["doubled"], ["rectified"]),
        helper.make_node("Flatten", ["rectified"], ["output"]),
    ]
    return wire(nodes, {"two": np.array(2, np.float32)}, shape=(1, 3, 4, 4))


def _images(count: int, *, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    # Eighths: sums and products of them are exact in float32.
    return [(generator.integers(-80, 161, (1, 3, 4, 4)) / 8).astype(np.float32) for _ in range(count)]


def test_smallest_and_largest_are_those_over_all_images(doubling: Any) -> None:  # noqa: ANN401
    images = _images(7)
    seen = _observe(doubling, ["input", "doubled", "rectified", "output"], lambda: images)
    everything = np.stack(images)
    wanted = {"input": everything, "doubled": 2 * everything, "rectified": np.maximum(2 * everything, 0)}
    for name, values in {**wanted, "output": wanted["rectified"]}.items():
        assert (seen[name].histogram.low, seen[name].histogram.high) == (values.min(), values.max()), name


def test_the_histogram_counts_every_value_of_every_image(doubling: Any) -> None:  # noqa: ANN401
    # Values in the middles of the bins, so that both ways of rounding agree on where they belong.
    generator = np.random.default_rng(1)
    places = generator.integers(0, _BINS, (5, 1, 3, 4, 4))
    images = [((row + 0.5) / _BINS).astype(np.float32) for row in places]
    images[0].flat[:2] = [0.0, 1.0]
    seen = _observe(doubling, ["input", "doubled"], lambda: images)
    for name, factor in (("input", 1), ("doubled", 2)):
        counts, _ = np.histogram(factor * np.stack(images), bins=_BINS, range=(0, factor))
        np.testing.assert_array_equal(seen[name].histogram.counts, counts)


def test_the_histogram_of_the_tiny_network_is_numpys(tiny: Any) -> None:  # noqa: ANN401 - the conftest's record
    model = type(tiny.model)()
    model.CopyFrom(tiny.model)
    names = [name for name in tiny.seen if name not in {"input", "output"}]
    model.graph.output.extend(type(model.graph.output[0])(name=name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(names, {"input": image}) for image in tiny.images]
    for number, name in enumerate(names):
        values = np.concatenate([row[number].reshape(-1) for row in rows]).astype(np.float64)
        seen = tiny.seen[name].histogram
        assert seen.counts.sum() == values.size
        assert (seen.low, seen.high) == pytest.approx((values.min(), values.max()), rel=1e-5, abs=1e-6)
        wanted, _ = np.histogram(values, bins=_BINS, range=(seen.low, seen.high))
        # Values next to a bin's edge may fall to the other side of it in float32; none is lost.
        assert np.abs(np.cumsum(seen.counts) - np.cumsum(wanted)).max() <= 0.001 * values.size


def test_of_large_tensors_a_sample_enters_the_histogram_and_all_values_the_extremes(wire: Any) -> None:  # noqa: ANN401
    model = wire([helper.make_node("Neg", ["input"], ["output"])], shape=(1, 3, 256, 256))
    image = np.random.default_rng(0).standard_normal((1, 3, 256, 256)).astype(np.float32)
    image[0, 1, 100, 101] = 25.0
    seen = _observe(model, ["output"], lambda: [image])["output"].histogram
    assert (seen.low, seen.high) == (-25.0, -image.min())
    assert (1 << 15) < seen.counts.sum() <= 2 * (1 << 16)
    middle = seen.counts @ seen.centres / seen.counts.sum()
    spread = np.sqrt(seen.counts @ (seen.centres - middle) ** 2 / seen.counts.sum())
    assert middle == pytest.approx(0, abs=0.05)
    assert spread == pytest.approx(1, abs=0.05)


def test_the_sample_of_a_large_tensor_sees_every_column(wire: Any) -> None:  # noqa: ANN401
    # Each column has its own value: a sample that walks along the same columns would miss the others.
    model = wire([helper.make_node("Identity", ["input"], ["output"])], shape=(1, 3, 256, 256))
    image = np.broadcast_to(np.arange(256, dtype=np.float32), (1, 3, 256, 256)).copy()
    counts = _observe(model, ["output"], lambda: [image])["output"].histogram.counts
    assert np.count_nonzero(counts) == 256
    assert counts[counts > 0].min() > 0.5 * counts.max()


def test_the_mean_of_a_channel_is_taken_over_images_and_positions(doubling: Any) -> None:  # noqa: ANN401
    images = _images(6)
    seen = _observe(doubling, ["doubled", "output"], lambda: images)
    np.testing.assert_allclose(seen["doubled"].channel_mean, 2 * np.concatenate(images).mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(
        seen["output"].channel_mean, np.mean([np.maximum(2 * x, 0).ravel() for x in images], axis=0)
    )


def test_the_order_of_the_images_does_not_matter(tiny: Any) -> None:  # noqa: ANN401
    names = list(tiny.seen)
    seen = _observe(tiny.model, names, lambda: tiny.images[::-1])
    for name in names:
        np.testing.assert_array_equal(seen[name].histogram.counts, tiny.seen[name].histogram.counts)
        assert (seen[name].histogram.low, seen[name].histogram.high) == (
            tiny.seen[name].histogram.low,
            tiny.seen[name].histogram.high,
        )


def test_a_tensor_that_never_changes_falls_into_one_bin(doubling: Any) -> None:  # noqa: ANN401
    images = [np.full((1, 3, 4, 4), -1.0, np.float32)] * 2
    seen = _observe(doubling, ["rectified"], lambda: images)["rectified"].histogram
    assert (seen.low, seen.high) == (0.0, 0.0)
    assert np.count_nonzero(seen.counts) == 1
    assert seen.counts.sum() == 96


def test_nothing_is_kept_of_an_image(doubling: Any) -> None:  # noqa: ANN401
    alive: set[int] = set()
    most = [0]

    def images() -> Iterator[np.ndarray]:
        for number in range(40):
            image = _images(1, seed=number)[0]
            alive.add(number)
            weakref.finalize(image, alive.discard, number)
            yield image
            del image
            most[0] = max(most[0], len(alive))

    _observe(doubling, ["input", "doubled"], images)
    assert most[0] <= 2


def test_what_was_seen_is_as_large_after_many_images_as_after_one(doubling: Any) -> None:  # noqa: ANN401
    def size(seen: dict[str, Observation]) -> int:
        return sum(of.histogram.counts.nbytes + of.channel_mean.nbytes for of in seen.values())

    one, many = (_observe(doubling, ["input", "doubled"], lambda n=n: _images(n)) for n in (1, 30))
    assert size(one) == size(many)


def test_every_image_is_told_of_twice(doubling: Any) -> None:  # noqa: ANN401
    ticker = _Ticker()
    _observe(doubling, ["input"], lambda: _images(5), ticker)
    assert ticker.steps == 10


def test_the_model_is_left_as_it_was(doubling: Any) -> None:  # noqa: ANN401
    before = doubling.SerializeToString(deterministic=True)
    _observe(doubling, ["input", "doubled"], lambda: _images(2))
    assert doubling.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 2])
def test_an_image_that_is_not_finite_is_named(doubling: Any, where: int, value: float) -> None:  # noqa: ANN401
    images = _images(3)
    images[where][0, 1, 2, 3] = value
    with pytest.raises(
        DataError, match="a calibration image makes the network give values that are not finite"
    ) as raised:
        _observe(doubling, ["input", "doubled"], lambda: images)
    assert raised.value.where == f"tensor 'input', calibration image {where}"
    assert "input.mean, input.std" in str(raised.value)


def test_a_network_that_overflows_names_the_tensor(doubling: Any) -> None:  # noqa: ANN401
    images = [np.full((1, 3, 4, 4), 3e38, np.float32)]
    with pytest.raises(DataError) as raised:
        _observe(doubling, ["input", "doubled"], lambda: images)
    assert raised.value.where == "tensor 'doubled', calibration image 0"


def test_without_images_it_is_said(doubling: Any) -> None:  # noqa: ANN401
    with SilentProgress().track("", 0) as ticker, pytest.raises(DataError, match="there are no calibration images"):
        observe(doubling, ["input"], list, ticker)


def _stopping_after(images: list[np.ndarray], count: int) -> Any:  # noqa: ANN401
    """Images that come with a kill after so many of them."""

    def give() -> Any:  # noqa: ANN401
        for number, image in enumerate(images):
            if number == count:
                raise KeyboardInterrupt
            yield image

    return give


@pytest.mark.parametrize("stops", [(3,), (5, 2), (16,), (2, 7, 12)], ids=str)
def test_what_was_seen_before_a_kill_is_not_lost(
    tiny: Any,  # noqa: ANN401 - the conftest's record
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stops: tuple[int, ...],
) -> None:
    monkeypatch.setattr(observe_module, "_SAVED_EVERY", 2)
    tensors, images = tensors_to_observe(Graph(tiny.model)), tiny.images[:16]
    ran: list[int] = []
    run = observe_module._Watcher.run

    def counted(watcher: Any, image: np.ndarray) -> Any:  # noqa: ANN401
        ran.append(1)
        return run(watcher, image)

    monkeypatch.setattr(observe_module._Watcher, "run", counted)
    with SilentProgress().track("", 0) as ticker:
        for stop in stops:
            if stop < len(images):
                with pytest.raises(KeyboardInterrupt):
                    observe(tiny.model, tensors, _stopping_after(images, stop), ticker, kept=tmp_path)
        seen = observe(tiny.model, tensors, lambda: images, ticker, kept=tmp_path)
        assert len(ran) <= 2 * len(images) + len(stops)  # of each start at most one image is done again
        whole = observe(tiny.model, tensors, lambda: images, ticker)
    for name in tensors:
        np.testing.assert_array_equal(seen[name].histogram.counts, whole[name].histogram.counts)
        assert (seen[name].histogram.low, seen[name].histogram.high) == (
            whole[name].histogram.low,
            whole[name].histogram.high,
        )
        if whole[name].channel_mean is not None:
            np.testing.assert_array_equal(seen[name].channel_mean, whole[name].channel_mean)


@pytest.mark.parametrize("place", [5, 70, -30], ids=["the hash", "a name", "the end"])
def test_what_was_left_and_is_damaged_is_told_and_watched_anew(
    tiny: Any,  # noqa: ANN401 - the conftest's record
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: int,
) -> None:
    monkeypatch.setattr(observe_module, "_SAVED_EVERY", 2)
    tensors, images, notes = tensors_to_observe(Graph(tiny.model)), tiny.images[:4], list[str]()
    with SilentProgress().track("", 0) as ticker:
        whole = observe(tiny.model, tensors, lambda: images, ticker, kept=tmp_path, note=notes.append)
        (left,) = tmp_path.iterdir()
        content = bytearray(left.read_bytes())
        content[place] ^= 1
        left.write_bytes(content)
        seen = observe(tiny.model, tensors, lambda: images, ticker, kept=tmp_path, note=notes.append)
    (note,) = notes
    assert note.endswith("are not those that were written")
    for name in tensors:
        np.testing.assert_array_equal(seen[name].histogram.counts, whole[name].histogram.counts)


def test_what_another_network_left_is_not_taken_up(tiny: Any, rich: Any, tmp_path: Path) -> None:  # noqa: ANN401
    with SilentProgress().track("", 0) as ticker:
        for network in (tiny, rich):
            tensors = tensors_to_observe(Graph(network.model))
            images = [image for image in network.images for _ in range(4)][:64]
            seen = observe(network.model, tensors, lambda given=images: given, ticker, kept=tmp_path)
            assert set(seen) == set(tensors)
