"""From an image file to the network's input, bit for bit what torchvision computes where both define it."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import ValidationError
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from pipeline import image_input
from pipeline.image_input import boxes_in_image, boxes_in_input, load_image, preprocess_image, upright_rgb
from pipeline.preprocess import PreprocessSpec

IMAGES = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
    lambda sides: arrays(np.uint8, (*sides, 3), elements=st.integers(0, 255))
)
SIDES = st.integers(1, 20)
FRACTIONS = st.floats(0, 1, width=32)
MEANS = st.tuples(FRACTIONS, FRACTIONS, FRACTIONS)
STDS = st.tuples(*[st.floats(0.125, 2, width=32)] * 3)
METHODS = st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"])
IDENTITY = {"mean": 0, "std": 1}
"""Leaves pixels as fractions of 255."""


def _spec(**fields: Any) -> PreprocessSpec:  # noqa: ANN401 - raw input
    return PreprocessSpec.model_validate(fields)


def _ours(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    return preprocess_image(Image.fromarray(pixels), spec.model_dump(mode="json"))


def _torchvision(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    method = InterpolationMode(spec.interpolation)
    steps = (
        [Resize(spec.size, method)] if spec.resize == "squash" else [Resize(spec.resize, method), CenterCrop(spec.size)]
    )
    tensor = Compose([*steps, ToTensor(), Normalize(spec.mean, spec.std)])(Image.fromarray(pixels))
    return tensor.numpy()


# Against torchvision


@settings(deadline=None)
@given(pixels=IMAGES, size=st.tuples(SIDES, SIDES), mean=MEANS, std=STDS, interpolation=METHODS)
def test_squashing_is_torchvisions_resize_bit_for_bit(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    interpolation: str,
) -> None:
    spec = _spec(size=size, mean=mean, std=std, interpolation=interpolation)
    np.testing.assert_array_equal(_ours(pixels, spec), _torchvision(pixels, spec), strict=True)


@settings(deadline=None)
@given(data=st.data(), pixels=IMAGES, resize=SIDES, mean=MEANS, std=STDS, interpolation=METHODS)
def test_shorter_side_and_centre_crop_are_torchvisions_bit_for_bit(
    data: st.DataObject,
    pixels: NDArray[np.uint8],
    resize: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    interpolation: str,
) -> None:
    size = data.draw(st.tuples(st.integers(1, resize), st.integers(1, resize)))
    spec = _spec(size=size, resize=resize, mean=mean, std=std, interpolation=interpolation)
    np.testing.assert_array_equal(_ours(pixels, spec), _torchvision(pixels, spec), strict=True)


@settings(deadline=None)
@given(data=st.data(), pixels=IMAGES, resize=SIDES)
def test_a_crop_beyond_the_image_is_filled_as_torchvision_fills_it(
    data: st.DataObject, pixels: NDArray[np.uint8], resize: int
) -> None:
    size = data.draw(st.tuples(st.integers(resize, 24), st.integers(resize, 24)))
    spec = _spec(size=size, resize=resize, **IDENTITY)
    np.testing.assert_array_equal(_ours(pixels, spec), _torchvision(pixels, spec), strict=True)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_photo_sized_image_in_imagenets_custom_is_torchvisions_bit_for_bit(interpolation: str) -> None:
    rows, columns = np.mgrid[0:375, 0:500]
    pixels = np.stack([rows % 256, columns % 256, (rows * columns) % 256], axis=2).astype(np.uint8)
    spec = _spec(size=224, resize=256, interpolation=interpolation)
    np.testing.assert_array_equal(_ours(pixels, spec), _torchvision(pixels, spec), strict=True)


# The steps by themselves


def test_the_input_is_float32_channels_first_and_contiguous() -> None:
    image = _ours(np.zeros((5, 7, 3), np.uint8), _spec(size=(2, 4)))
    assert (image.dtype, image.shape, image.flags.c_contiguous) == (np.float32, (3, 2, 4), True)


def test_pixels_of_the_right_size_are_only_scaled_and_normalised() -> None:
    pixels = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3) * 10
    mean, std = np.float32([0.1, 0.2, 0.3]), np.float32([0.5, 0.25, 2])
    image = _ours(pixels, _spec(size=(2, 4), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2)))
    by_hand = [(pixels[:, :, channel] / np.float32(255) - mean[channel]) / std[channel] for channel in range(3)]
    np.testing.assert_array_equal(image, np.stack(by_hand))


def test_bgr_turns_the_channels_and_mean_and_std_are_of_the_turned_ones() -> None:
    pixels = np.zeros((1, 1, 3), np.uint8) + np.uint8([255, 0, 51])
    image = _ours(pixels, _spec(size=1, channels="BGR", mean=(0.2, 0.0, 0.5), std=(1, 1, 0.5)))
    np.testing.assert_allclose(image[:, 0, 0], [0.0, 0.0, 1.0], atol=1e-7)


def test_squashing_ignores_the_ratio() -> None:
    # The left half black, the right half white, whatever the shape.
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    image = _ours(pixels, _spec(size=(8, 2), interpolation="nearest", **IDENTITY))
    np.testing.assert_array_equal(image, np.broadcast_to(np.float32([0, 1]), (3, 8, 2)))


@pytest.mark.parametrize("upright", [True, False])
def test_the_crop_is_from_the_centre_of_the_longer_side(*, upright: bool) -> None:
    pixels = np.zeros((2, 6, 3), np.uint8)
    pixels[:, 2:4] = 255
    turned = pixels.transpose(1, 0, 2) if upright else pixels
    image = _ours(np.ascontiguousarray(turned), _spec(size=2, resize=2, **IDENTITY))
    np.testing.assert_array_equal(image, np.ones((3, 2, 2), np.float32))


def test_height_comes_before_width() -> None:
    assert _ours(np.zeros((8, 8, 3), np.uint8), _spec(size=(2, 6), resize=8)).shape == (3, 2, 6)


# Letterbox


@settings(deadline=None)
@given(
    pixels=IMAGES,
    size=st.tuples(SIDES, SIDES),
    fill=st.integers(0, 255),
    place=st.sampled_from(["centre", "corner"]),
    channels=st.sampled_from(["RGB", "BGR", "gray"]),
)
def test_a_letterbox_is_the_whole_picture_in_its_ratio_on_grey(
    pixels: NDArray[np.uint8], size: tuple[int, int], fill: int, place: str, channels: str
) -> None:
    spec = _spec(size=size, resize="letterbox", fill=fill, place=place, channels=channels, mean=0, std=1)
    found = preprocess_image(Image.fromarray(pixels), spec.model_dump(mode="json"), "uint8")
    scale = min(size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    high, wide = (max(1, round(scale * side)) for side in pixels.shape[:2])
    top, left = (0, 0) if place == "corner" else ((size[0] - high) // 2, (size[1] - wide) // 2)
    picture = Image.fromarray(pixels).resize((wide, high), Image.Resampling.BILINEAR)
    inside = np.asarray(picture.convert("L"))[:, :, None] if channels == "gray" else np.asarray(picture)
    wanted = np.full((*size, inside.shape[2]), fill, np.uint8)
    wanted[top : top + high, left : left + wide] = inside

    assert wide == size[1] or high == size[0]
    np.testing.assert_array_equal(found, wanted[:, :, ::-1] if channels == "BGR" else wanted)


def test_an_image_of_the_input_s_ratio_is_squashed_the_same_way() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 45, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        _ours(pixels, _spec(size=(20, 30), resize="letterbox")), _ours(pixels, _spec(size=(20, 30), resize="squash"))
    )


@given(
    size=st.tuples(st.integers(8, 64), st.integers(8, 64)),
    image=st.tuples(st.integers(8, 500), st.integers(8, 500)),
    place=st.sampled_from(["centre", "corner"]),
)
def test_boxes_come_back_from_a_letterbox(size: tuple[int, int], image: tuple[int, int], place: str) -> None:
    spec = _spec(size=size, resize="letterbox", place=place).model_dump(mode="json")
    wide, high = image
    boxes = np.array([[0, 0, wide, high], [wide / 3, high / 4, wide / 2, high]])
    there = boxes_in_input(boxes, image, spec)

    assert there.min() >= 0
    assert there[:, [0, 2]].max() <= size[1] + 1e-9
    assert there[:, [1, 3]].max() <= size[0] + 1e-9
    np.testing.assert_allclose(boxes_in_image(there, image, spec), boxes, atol=1e-9)


@pytest.mark.parametrize("place", ["centre", "corner"])
def test_a_box_lies_where_its_object_is_in_the_letterbox(place: str) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[10:20, 40:80] = 255
    spec = _spec(size=40, resize="letterbox", fill=0, place=place, interpolation="nearest")
    seen = preprocess_image(Image.fromarray(pixels), spec.model_dump(mode="json"), "uint8")
    ((left, top, right, bottom),) = boxes_in_input(np.array([[40, 10, 80, 20]]), (80, 40), spec.model_dump(mode="json"))
    rows, columns = (seen[:, :, 0] > 0).nonzero()

    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


def test_what_a_letterbox_alone_has_stands_in_no_other_record() -> None:
    assert _spec(size=7, resize="letterbox").model_dump(include={"resize", "fill", "place"}) == {
        "resize": "letterbox",
        "fill": 114,
        "place": "centre",
    }
    assert not {"fill", "place"} & _spec(size=7, resize=8).model_dump().keys()
    for wrong in ({"fill": 0}, {"place": "corner", "resize": 8}):
        with pytest.raises(ValidationError, match="fill and place are of a letterbox"):
            _spec(size=7, **wrong)


def test_a_letterbox_of_another_size_or_resized_otherwise() -> None:
    spec = _spec(size=7, resize="letterbox", fill=3, place="corner")

    assert spec.at((9, 8)) == _spec(size=(9, 8), resize="letterbox", fill=3, place="corner")
    assert spec.resized("squash") == _spec(size=7)
    assert spec.resized(9) == _spec(size=7, resize=9)
    assert _spec(size=7).resized("letterbox") == _spec(size=7, resize="letterbox")


def test_images_are_resized_as_another_resizes_them_and_nothing_else_is_taken_over() -> None:
    ours, theirs = _spec(size=(9, 8), mean=0.1), _spec(size=7, resize="letterbox", fill=3, place="corner", mean=0.2)

    assert ours.resized_as(theirs) == _spec(size=(9, 8), resize="letterbox", fill=3, place="corner", mean=0.1)
    assert theirs.resized_as(ours) == _spec(size=7, mean=0.2)
    assert _spec(size=14).resized_as(_spec(size=7, resize=8)) == _spec(size=14, resize=16)


def test_two_inputs_show_the_same_where_a_place_has_the_same_share_of_their_sides() -> None:
    boxed = _spec(size=(6, 8), resize="letterbox")

    assert boxed.shows_as(_spec(size=(3, 4), resize="letterbox", fill=0))
    assert not boxed.shows_as(_spec(size=(3, 4), resize="letterbox", place="corner"))
    assert not boxed.shows_as(_spec(size=(4, 4), resize="letterbox"))
    assert not boxed.shows_as(_spec(size=(6, 8)))
    assert _spec(size=(6, 8)).shows_as(_spec(size=4))
    assert _spec(size=14, resize=16).shows_as(_spec(size=7, resize=8))
    assert _spec(size=224, resize=256).shows_as(_spec(size=224, resize=256).at((100, 100)))
    assert not _spec(size=14, resize=16).shows_as(_spec(size=7, resize=7))


# Reading a file


def _coordinates(height: int = 3, width: int = 5) -> NDArray[np.uint8]:
    """An image in which every pixel is different, and no turn or mirroring gives the same."""
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def _loaded(path: Path) -> NDArray[np.uint8]:
    image = load_image(str(path))
    assert image.mode == "RGB"
    return np.asarray(image)


AS_SEEN = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: np.rot90,
}
"""What a viewer shows for each value of the EXIF tag Orientation (CIPA DC-008, table of tag 0x0112)."""


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", AS_SEEN)
def test_an_image_is_turned_as_its_exif_tag_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = _coordinates()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    Image.fromarray(stored).save(tmp_path / f"x{suffix}", exif=exif, **options)
    np.testing.assert_array_equal(_loaded(tmp_path / f"x{suffix}"), AS_SEEN[orientation](stored))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", AS_SEEN)
def test_a_tiff_without_compression_is_turned_likewise(tmp_path: Path, orientation: int, mode: str) -> None:
    """Pillow maps such files into memory where it is given a path, with rows as long as those of the turned image."""
    values = np.arange(28, dtype=np.uint8).reshape(4, 7) * 9
    stored = Image.fromarray(values if mode != "I;16" else values.astype(np.uint16) << 8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (stored if mode == "I;16" else stored.convert(mode)).save(tmp_path / "x.tif", exif=exif)
    Image.fromarray(values).convert(mode if mode != "I;16" else "L").save(tmp_path / "plain.tif")

    np.testing.assert_array_equal(_loaded(tmp_path / "x.tif"), AS_SEEN[orientation](_loaded(tmp_path / "plain.tif")))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_exif_tag_that_means_nothing_turns_nothing(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(_coordinates()).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(_loaded(tmp_path / "x.png"), _coordinates())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    deep = np.uint16([[0, 255, 256], [32768, 65279, 65535]])
    Image.fromarray(deep).save(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(_loaded(tmp_path / f"x{suffix}")[:, :, 0], [[0, 0, 1], [128, 254, 255]])


def test_big_endian_sixteen_bit_grey_is_the_same_picture(tmp_path: Path) -> None:
    deep = np.uint16([[0, 256], [32768, 65535]])
    Image.frombytes("I;16B", (2, 2), deep.astype(">u2").tobytes()).save(tmp_path / "x.tif")
    np.testing.assert_array_equal(_loaded(tmp_path / "x.tif")[:, :, 2], [[0, 1], [128, 255]])


def test_grey_has_three_equal_channels(tmp_path: Path) -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    Image.fromarray(grey).save(tmp_path / "x.png")
    np.testing.assert_array_equal(_loaded(tmp_path / "x.png"), np.stack([grey] * 3, axis=2))


def test_black_and_white_are_nothing_and_everything(tmp_path: Path) -> None:
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "x.png")
    np.testing.assert_array_equal(_loaded(tmp_path / "x.png"), [[[0, 0, 0], [255, 255, 255]]])


@pytest.mark.parametrize("channels", [2, 4], ids=["grey", "colour"])
def test_alpha_is_dropped_and_the_colour_below_it_kept(tmp_path: Path, channels: int) -> None:
    pixels = np.full((2, 2, channels), 200, np.uint8)
    pixels[:, :, -1] = [[0, 1], [128, 255]]
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.testing.assert_array_equal(_loaded(tmp_path / "x.png"), np.full((2, 2, 3), 200))


def _palette_image() -> Image.Image:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([2, 0, 1])
    return image


COLOURS = [[[70, 80, 90], [10, 20, 30], [40, 50, 60]]]


@pytest.mark.parametrize("suffix", [".png", ".gif", ".bmp", ".tif"])
def test_a_palette_image_has_the_colours_of_its_palette(tmp_path: Path, suffix: str) -> None:
    _palette_image().save(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(_loaded(tmp_path / f"x{suffix}"), COLOURS)


@pytest.mark.parametrize("transparency", [1, bytes([0, 128, 255])], ids=["one colour", "all colours"])
def test_a_palette_image_with_transparency_keeps_its_colours_and_warns_of_nothing(
    tmp_path: Path, transparency: int | bytes
) -> None:
    # Pillow's warning would be printed in the middle of a progress bar and tell the user nothing they can act on.
    _palette_image().save(tmp_path / "x.png", transparency=transparency)
    np.testing.assert_array_equal(_loaded(tmp_path / "x.png"), COLOURS)


def test_a_cmyk_photo_has_the_colours_it_was_made_of(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK").save(tmp_path / "x.jpg", quality=95)
    np.testing.assert_allclose(_loaded(tmp_path / "x.jpg"), np.broadcast_to([200, 100, 50], (16, 16, 3)), atol=3)


def test_the_first_picture_of_an_animation_counts(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (2, 2), (255, 0, 0)), Image.new("RGB", (2, 2), (0, 0, 255))
    first.save(tmp_path / "x.gif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(_loaded(tmp_path / "x.gif"), np.full((2, 2, 3), [255, 0, 0]))


def test_floats_are_refused_since_their_range_is_not_known(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match="floating-point pixels have no known range"):
        load_image(str(tmp_path / "x.tif"))


@pytest.mark.parametrize(("value", "seen"), [(0, 0), (65535, 255), (257 * 40, 40), (65536, None), (-1, None)])
def test_integers_of_16_bit_are_scaled_and_larger_ones_refused(value: int, seen: int | None) -> None:
    opened = Image.fromarray(np.full((2, 2), value, np.int32))  # as an application may hand it on
    if seen is None:
        with pytest.raises(ValueError, match="integer pixels beyond 0 to 65535"):
            upright_rgb(opened)
    else:
        np.testing.assert_array_equal(np.asarray(upright_rgb(opened)), np.full((2, 2, 3), seen, np.uint8))


@pytest.mark.parametrize("value", [200, 65535, 65536])
def test_a_tiff_of_32_bit_integers_is_refused_since_their_range_is_not_known(tmp_path: Path, value: int) -> None:
    Image.fromarray(np.full((2, 2), value, np.int32)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match="integer pixels of 32 bit have no known range"):
        load_image(str(tmp_path / "x.tif"))


@pytest.mark.parametrize("suffix", ["png", "pgm"])
def test_16_bit_grey_that_pillow_opens_as_integers_is_scaled(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.full((2, 2), 257 * 40, np.uint16)).save(tmp_path / f"x.{suffix}")
    np.testing.assert_array_equal(_loaded(tmp_path / f"x.{suffix}"), np.full((2, 2, 3), 40, np.uint8))


def _grey_tiff(path: Path, *, bits: int, white_is_zero: bool = False, sign: bool = False) -> Path:
    """Four pixels of a quarter of all bits; Pillow writes none of these kinds."""
    value = 1 << (bits - 2)
    strip = b"".join((value << bits | value).to_bytes(bits // 4, "big") for _ in range(2))  # 12 bits are packed
    if bits == 16:
        strip = np.full(4, value, "<u2").tobytes()
    tags = {256: 4, 257: 1, 258: bits, 259: 1, 262: int(not white_is_zero), 277: 1, 278: 1, 279: len(strip)}
    tags |= {273: 8 + 2 + 12 * (len(tags) + 2) + 4, 339: 2 if sign else 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    path.write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + strip)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"bits": 16}, None),
        ({"bits": 8}, None),
        ({"bits": 8, "white_is_zero": True}, None),
        ({"bits": 12}, "integer pixels of 12 bit"),
        ({"bits": 16, "white_is_zero": True}, "16-bit pixels of which zero is white"),
        ({"bits": 16, "sign": True}, "integer pixels with a sign have no known range"),
        ({"bits": 8, "sign": True}, "integer pixels with a sign have no known range"),
    ],
)
def test_a_grey_tiff_is_read_as_what_it_means_or_refused(
    tmp_path: Path, kind: dict[str, Any], message: str | None
) -> None:
    path = _grey_tiff(tmp_path / "x.tif", **kind)
    if message is None:
        seen = 255 - 64 if kind.get("white_is_zero") else 64
        np.testing.assert_array_equal(_loaded(path), np.full((1, 4, 3), seen, np.uint8))
    else:
        with pytest.raises(ValueError, match=message):
            load_image(str(path))


@pytest.mark.parametrize("name", ["p.eps", "p.jpg"])
def test_postscript_is_no_image_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    with pytest.raises(UnidentifiedImageError):
        load_image(str(tmp_path / name))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.jpg")
    with pytest.raises(ValueError, match="not a plain file"):
        load_image(str(tmp_path / "p.jpg"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files")
def test_no_file_stays_open(tmp_path: Path) -> None:
    Image.fromarray(_coordinates()).save(tmp_path / "x.png")
    image = load_image(str(tmp_path / "x.png"))
    still_open = {str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}
    assert image.size == (5, 3)
    assert str(tmp_path / "x.png") not in still_open


def test_a_file_goes_through_reading_and_all_steps(tmp_path: Path) -> None:
    pixels = _coordinates(9, 7)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    spec = _spec(size=(4, 5), resize=6)
    np.testing.assert_array_equal(spec.load(str(tmp_path / "x.png")), _torchvision(pixels, spec))


@pytest.mark.parametrize("resize", [6, "squash", "letterbox"])
def test_the_part_for_bundles_needs_pillow_and_numpy_alone(tmp_path: Path, resize: int | str) -> None:
    text = Path(image_input.__file__).read_text(encoding="utf-8")
    part = text.split("# --- the bundle's run.py starts here ---\n")[1].split("# --- the bundle's run.py ends here")[0]
    names: dict[str, Any] = {
        "np": np,
        "Image": Image,
        "ImageOps": ImageOps,
        "NDArray": NDArray,
        "Any": Any,
        "Path": Path,
        "stat": stat,
    }
    exec(compile(part, "run.py", "exec", dont_inherit=True), names)  # noqa: S102 - as the bundle does
    Image.fromarray(_coordinates(9, 7)).save(tmp_path / "x.png")
    spec = _spec(size=(4, 5), resize=resize)
    image = names["preprocess_image"](names["load_image"](str(tmp_path / "x.png")), spec.model_dump(mode="json"))
    np.testing.assert_array_equal(image, spec.load(str(tmp_path / "x.png")))


# The record


def test_one_number_for_the_size_is_a_square() -> None:
    assert _spec(size=7).size == (7, 7)


def test_one_number_for_mean_and_std_serves_all_channels() -> None:
    spec = _spec(size=7, mean=0.5, std=1)
    assert (spec.mean, spec.std) == ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))


def test_what_is_not_given_is_imagenets() -> None:
    assert _spec(size=7).model_dump() == {
        "size": (7, 7),
        "resize": "squash",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "bilinear",
        "channels": "RGB",
    }


@given(
    size=st.tuples(SIDES, SIDES),
    resize=SIDES | st.sampled_from(["squash", "letterbox"]),
    mean=MEANS,
    std=STDS,
    interpolation=METHODS,
    channels=st.sampled_from(["RGB", "BGR"]),
)
def test_a_spec_comes_back_from_its_json(**fields: Any) -> None:  # noqa: ANN401 - raw input
    spec = PreprocessSpec(**fields)
    assert PreprocessSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"size": 0}, "size"),
        ({"size": (3, -1)}, "size"),
        ({"size": (3,)}, "size"),
        ({"size": 3, "resize": 0}, "resize"),
        ({"size": 3, "resize": "crop"}, "resize"),
        ({"size": 3, "std": 0}, "std"),
        ({"size": 3, "std": (1, 1, -1)}, "std"),
        ({"size": 3, "mean": (0, 0)}, "mean"),
        ({"size": 3, "mean": float("nan")}, "mean"),
        ({"size": 3, "std": float("inf")}, "std"),
        ({"size": 3, "interpolation": "area"}, "interpolation"),
        ({"size": 3, "channels": "GRAY"}, "channels"),
        ({"size": 3, "colour": "RGB"}, "colour"),
    ],
    ids=str,
)
def test_what_is_no_preprocessing_is_refused_at_its_place(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as raised:
        _spec(**fields)
    assert {error["loc"][0] for error in raised.value.errors()} == {place}


def test_a_spec_does_not_change() -> None:
    spec = _spec(size=7)
    with pytest.raises(ValidationError, match="frozen"):
        spec.size = (8, 8)


# Gray


@settings(deadline=None)
@given(pixels=IMAGES, size=st.tuples(SIDES, SIDES), mean=FRACTIONS)
def test_a_gray_input_is_pillows_gray_of_the_resized_image(
    pixels: NDArray[np.uint8], size: tuple[int, int], mean: float
) -> None:
    spec = _spec(size=size, channels="gray", mean=mean, std=0.5)
    found = _ours(pixels, spec)
    gray = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR).convert("L"))

    assert found.shape == spec.shape[1:] == (1, *size)
    np.testing.assert_array_equal(
        found[0], (gray.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(0.5)
    )


def test_the_values_of_a_gray_image_stay_what_they_are() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = image_input.upright_rgb(Image.fromarray(values))
    spec = _spec(size=16, channels="gray", mean=0, std=1)

    assert np.array_equal(preprocess_image(image, spec.model_dump(mode="json"), "uint8")[:, :, 0], values)


def test_a_gray_image_has_one_mean_and_deviation() -> None:
    assert (_spec(size=8, channels="gray").mean, _spec(size=8, channels="gray").std) == ((0.449,), (0.226,))
    assert _spec(size=8, channels="gray", mean=0.5).mean == (0.5,)
    assert _spec(size=8, mean=0.5).mean == (0.5, 0.5, 0.5)
    for wrong in ({"channels": "gray", "mean": (0.1, 0.2, 0.3)}, {"mean": (0.1,)}):
        with pytest.raises(ValidationError, match="mean has"):
            _spec(size=8, **wrong)
