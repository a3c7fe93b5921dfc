"""A recipe that is handed on names no home, and leads its owner to the same places."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.recipe.places import names_alone, shortened_places, told_without_home, without_home
from pipeline.recipe.reading import dump_recipe, read_recipe
from pipeline.recipe.records import Recipe


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")


def test_home_and_working_folder_are_not_said_and_all_else_stays(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "model": f"{tmp_path}/home/nets/net.py:tiny",
            "weights": f"{tmp_path}/work/w.pth",
            "data": {"source": f"{tmp_path}/homely/photos", "test_list": "lists/test.txt"},
            "distill": {"teachers": [f"resnet18@{tmp_path}/home/r.pth", "vgg16@pretrained", f"{tmp_path}/home/a.py:b"]},
        }
    )
    found = without_home(recipe)
    assert (found.model, found.weights) == ("~/nets/net.py:tiny", "w.pth")
    assert (found.data.source, found.data.test_list) == (f"{tmp_path}/homely/photos", "lists/test.txt")
    assert found.distill.teachers == ("resnet18@~/r.pth", "vgg16@pretrained", "~/a.py:b")


def test_what_goes_to_others_says_no_folder() -> None:
    texts = ["/home/some:body/a.py:b", "resnet18@/home/r.pth", "vgg16@mine/v.bin", "timm/resnet18"]
    assert names_alone(texts) == ["a.py:b", "resnet18@r.pth", "vgg16@v.bin", "timm/resnet18"]


def test_what_names_no_place_stays_and_is_read_again(tmp_path: Path) -> None:
    recipe = Recipe(model="resnet18")
    (tmp_path / "r.yaml").write_text(dump_recipe(without_home(recipe)), encoding="utf-8")
    assert read_recipe(tmp_path / "r.yaml", {}) == recipe


def test_a_message_says_no_home_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    text = (
        "{0}/a.jpg: broken\n  got: file://{0}/a.jpg, '{0}', {0}.\n  fix: look into {0}, not {0}ly/b or {0}.old or /x{0}"
    )
    told = "~/a.jpg: broken\n  got: file://~/a.jpg, '~', ~.\n  fix: look into ~, not {0}ly/b or {0}.old or /x{0}"
    for place in (home, tmp_path / "link"):
        assert told_without_home(text.format(place)) == told.format(place)


def test_the_same_place_spelled_twice_is_one(tmp_path: Path) -> None:
    texts = [f"{tmp_path}/home/a.py:b", "~/a.py:b"]
    assert shortened_places({"teachers": texts, "n": 3}) == {"teachers": ["~/a.py:b"] * 2, "n": 3}
