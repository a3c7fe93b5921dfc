"""Boxes drawn onto images, and where the pictures go."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from exporters.device import drawing
from exporters.device.drawing import COLOURS, Pictures, drawn

if TYPE_CHECKING:
    from pathlib import Path

GREY = Image.new("RGB", (200, 120), (90, 90, 90))


def _found(index: int = 0, name: str = "cat", box: tuple[float, ...] = (40, 40, 120, 90)) -> dict[str, Any]:
    return {"class": name, "index": index, "score": 0.87, "box": list(box)}


def _rgb(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def test_a_box_is_drawn_where_it_is_on_a_copy() -> None:
    picture = np.asarray(drawn(GREY, [_found()]))

    assert np.asarray(GREY).min() == np.asarray(GREY).max() == 90
    np.testing.assert_array_equal(picture[90, 80], _rgb(COLOURS[0][0]))
    np.testing.assert_array_equal(picture[65, 40], _rgb(COLOURS[0][0]))
    np.testing.assert_array_equal(picture[65, 39], [255, 255, 255])  # set off from whatever is below
    np.testing.assert_array_equal(picture[65, 80], [90, 90, 90])
    assert (picture[20:39, 40:100] != 90).any()  # the label


def test_nothing_found_changes_nothing() -> None:
    np.testing.assert_array_equal(np.asarray(drawn(GREY, [])), np.asarray(GREY))


@pytest.mark.parametrize(
    "box", [(0, 0, 200, 120), (0, 0, 1, 1), (199, 119, 200, 120), (50, 50, 50, 50), (60, 60, 50, 50)]
)
@pytest.mark.parametrize("name", ["cat", "a" * 300, "Äpfel 漢字", "{}%s"])
def test_any_box_and_name_can_be_drawn(box: tuple[float, ...], name: str) -> None:
    assert drawn(GREY, [_found(99, name, box)]).size == GREY.size


def test_the_small_letters_of_an_older_pillow_serve_too(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ImageFont.load_default_imagefont()
    monkeypatch.setattr(drawing, "label_font", lambda size: small)

    assert drawn(GREY, [_found(name="漢字")]).size == GREY.size


def test_neighbouring_classes_differ_in_luminance() -> None:
    """So that whoever sees no colours tells them apart, too."""
    shades = [0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in (_rgb(one) for one, _ in COLOURS)]

    assert all(abs(one - other) > 20 for one, other in pairwise(shades))


def test_one_picture_goes_into_a_file(tmp_path: Path) -> None:
    place = tmp_path / "out.jpg"
    assert Pictures(str(place), several=False, images=["photo.png"]).save(GREY, of="photo.png") == place
    with Image.open(place) as picture:
        assert (picture.format, picture.size) == ("JPEG", GREY.size)
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]


def test_several_go_into_a_folder_each_by_its_own_name(tmp_path: Path) -> None:
    names = ["a/1.png", "b/1.png", "b/2.jpg"]
    pictures = Pictures(str(tmp_path / "new" / "out"), several=True, images=names)
    for name in names:
        pictures.save(GREY, of=name)
    pictures.save(GREY, of="a.b/film.x.mp4", frame=12)

    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == [
        "1-2.png",
        "1.png",
        "2.png",
        "film.x-000012.png",
    ]


def test_one_picture_for_a_folder_that_is_there_goes_into_it(tmp_path: Path) -> None:
    assert (
        Pictures(str(tmp_path), several=False, images=["photo.jpg"]).save(GREY, of="photo.jpg")
        == tmp_path / "photo.png"
    )


@pytest.mark.parametrize("name", ["out", "out.txt", "out.svg"])
def test_a_file_of_no_known_format_is_refused_beforehand(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"should end in one of \.png, \.jpg"):
        Pictures(str(tmp_path / name), several=False, images=["photo.jpg"])


def test_a_place_that_is_not_there_is_made_beforehand(tmp_path: Path) -> None:
    Pictures(f"{tmp_path}/new/", several=False, images=["a.jpg"]).save(GREY, of="a.jpg")
    Pictures(f"{tmp_path}/other/b.png", several=False, images=["a.jpg"]).save(GREY, of="a.jpg")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")) == ["new/a.png", "other/b.png"]


@pytest.mark.parametrize("place", ["out", "new.png", "new.JPG"])
def test_a_file_where_a_folder_is_needed_is_refused_beforehand(tmp_path: Path, place: str) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(ValueError, match="names a file, and there are several pictures: name a folder"):
        Pictures(str(tmp_path / place), several=True, images=["a.jpg", "b.jpg"])
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_no_image_that_is_asked_about_is_ever_replaced(tmp_path: Path) -> None:
    """Nor one that would only be read after it, nor by a film's frame."""
    jpeg, png, frame, out = (tmp_path / name for name in ("a.jpg", "a.png", "film-000012.png", "new"))
    for place, images in (
        (png, [png]),
        (tmp_path, [png]),
        (tmp_path, [jpeg, png]),
        (out / "..", [jpeg, png]),
        (tmp_path, [frame]),
    ):
        out.mkdir(exist_ok=True)
        for image in images:
            GREY.save(image)
        with pytest.raises(ValueError, match=r"\.png: it would replace the image: choose another place"):
            Pictures(str(place), several=False, images=[str(one) for one in images])

    assert Pictures(str(tmp_path), several=True, images=[str(jpeg), "b/2.jpg"]).save(GREY, of="b/2.jpg").name == "2.png"


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "out.png"
    place.mkdir()
    (place / "photo.png").mkdir()
    with pytest.raises(OSError, match=r"photo\.png"):
        Pictures(str(place), several=False, images=["photo.png"]).save(GREY, of="photo.png")

    assert [path.name for path in place.iterdir()] == ["photo.png"]
