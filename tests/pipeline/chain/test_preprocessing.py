"""How large the embedded canvases are fed, and by whose mean and deviation."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.chain.preprocessing import preprocess_of
from pipeline.models.resolve import resolve_model
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.preprocess_section import InputSection
from pipeline.recipe import Recipe

SCRATCH = WeightsSource(origin="scratch")


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", 320),
        ("fasterrcnn_mobilenet_v3_large_fpn", 320),
        ("fasterrcnn_resnet50_fpn", 160),
        ("ssdlite320_mobilenet_v3_large", 160),
        ("fcos_resnet50_fpn", 160),
        ("yolo/x-tiny", 160),
    ],
)
def test_canvases_are_enlarged_for_networks_of_coarse_maps(name: str, side: int) -> None:
    recipe = Recipe.model_validate({"model": name, "data": {"source": "digits-detection"}})

    spec, assumed = preprocess_of(recipe, resolve_model(name), SCRATCH)

    assert (spec.size, spec.mean, assumed) == ((side, side), (0.5, 0.5, 0.5), ())


def test_a_size_that_is_asked_for_is_kept() -> None:
    fields = {"model": "fasterrcnn_mobilenet_v3_large_fpn", "data": {"source": "digits-detection"}}
    recipe = Recipe.model_validate({**fields, "input": {"size": 160}})

    assert preprocess_of(recipe, resolve_model(recipe.model), SCRATCH)[0].size == (160, 160)


def test_a_published_backbone_gets_the_colours_it_was_trained_with() -> None:
    recipe = Recipe.model_validate({"model": "fcos_resnet50_fpn", "data": {"source": "digits-detection"}})
    weights = WeightsSource(origin="scratch", backbone=WeightsSource(origin="pretrained", file_sha256="a"))

    spec, _ = preprocess_of(recipe, resolve_model(recipe.model), weights)

    assert spec.size == (160, 160)
    assert spec.mean == (0.485, 0.456, 0.406)


def test_an_ssd300_is_fed_as_its_weights_want_it() -> None:
    """Its own those about 0 and as far as 255; a classifier's, or none, as classifiers are."""
    recipe = Recipe.model_validate({"model": "ssd300_vgg16", "data": {"source": "photos"}})
    backbone = WeightsSource(origin="scratch", backbone=WeightsSource(origin="pretrained", file_sha256="a"))
    published, given = (WeightsSource(origin=origin, file_sha256="a") for origin in ("pretrained", "file"))
    own, classifiers = ((0.48235, 0.45882, 0.40784), (1 / 255,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    for weights, wanted in ((published, own), (given, own), (backbone, classifiers), (SCRATCH, classifiers)):
        spec, assumed = preprocess_of(recipe, resolve_model(recipe.model), weights)
        assert (spec.mean, spec.std) == wanted
        assert (spec.size, spec.resize, assumed) == ((300, 300), "squash", ())


@pytest.mark.parametrize(("name", "place"), [("yolo/x-nano", "corner"), ("yolo/9-t", "centre")])
@pytest.mark.parametrize("source", ["digits-detection", "photos"])
def test_yolo_sees_the_whole_image_in_its_ratio(source: str, name: str, place: str) -> None:
    recipe = Recipe.model_validate({"model": name, "data": {"source": source}, "input": {"size": [96, 160]}})

    spec, assumed = preprocess_of(recipe, resolve_model(name), SCRATCH)

    assert (spec.size, spec.resize, spec.fill, spec.place, assumed) == ((96, 160), "letterbox", 114, place, ())


def test_how_a_detector_of_a_user_s_own_is_fed_is_assumed_and_told() -> None:
    model = ModelSource(origin="file", name="ssdlite", task="detection")
    recipe = Recipe.model_validate({"model": "net.py:ssdlite", "data": {"source": "photos"}})
    said = recipe.model_copy(update={"input": InputSection(size=320, resize="squash", mean=0.5, std=0.5)})

    spec, (assumed,) = preprocess_of(recipe, model, SCRATCH)

    assert (spec.size, spec.resize, spec.mean) == ((320, 320), "squash", (0.485, 0.456, 0.406))
    assert "the whole image squashed to 320 taken as what suits a device and mean and std" in assumed
    assert preprocess_of(said, model, SCRATCH)[1] == ()


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        (
            "fasterrcnn_resnet50_fpn",
            {},
            "the whole image squashed to 320 taken as what suits a device; set input.size, input.resize if the network",
        ),
        ("fasterrcnn_resnet50_fpn", {"size": 800}, "the whole image squashed to 800 taken as what suits a device"),
        ("yolo/x-nano", {}, "an input of 320 taken as what suits a device; set input.size if the network"),
        ("ssdlite320_mobilenet_v3_large", {}, None),
        ("fasterrcnn_resnet50_fpn", {"size": 800, "resize": "letterbox"}, None),
    ],
)
def test_how_one_s_own_weights_of_a_detector_by_name_were_fed_is_assumed_and_told(
    name: str, fields: dict[str, Any], told: str | None
) -> None:
    recipe = Recipe.model_validate({"model": name, "data": {"source": "photos"}, "input": fields})
    model, given = resolve_model(name), WeightsSource(origin="file", file_sha256="a")

    _, assumed = preprocess_of(recipe, model, given)

    assert [one.startswith(told) for one in assumed if told] == ([] if told is None else [True])
    assert bool(assumed) == (told is not None)
    assert preprocess_of(recipe, model, SCRATCH)[1] == ()


def test_yolo_is_fed_otherwise_where_that_is_asked_for() -> None:
    recipe = Recipe.model_validate(
        {"model": "yolo/x-nano", "data": {"source": "photos"}, "input": {"resize": "squash"}}
    )

    assert preprocess_of(recipe, resolve_model(recipe.model), SCRATCH)[0].resize == "squash"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {},
            (
                "preprocessing taken as ImageNet's custom (256, centre 224, its mean and std); set input.size, "
                "input.mean, input.std, input.resize"
            ),
        ),
        ({"size": 32, "resize": "squash"}, "mean and std taken as ImageNet's custom; set input.mean, input.std"),
        ({"size": 32, "resize": "squash", "mean": 0.5}, "std taken as ImageNet's custom; set input.std"),
        (
            {"size": [32, 64], "mean": 0.5, "std": 0.5},
            "images resized to 73, centre 32x64 taken as ImageNet's custom; set input.resize",
        ),
        (
            {"mean": 0.5, "std": 0.5},
            "images resized to 256, centre 224 taken as ImageNet's custom; set input.size, input.resize",
        ),
        (
            {"resize": "letterbox"},
            "an input of 224, mean and std taken as ImageNet's custom; set input.size, input.mean, input.std",
        ),
        ({"size": 32, "resize": 36, "mean": 0.5, "std": 0.5}, None),
    ],
    ids=str,
)
def test_what_is_told_to_be_assumed_is_what_nobody_said(fields: dict[str, Any], told: str | None) -> None:
    model = ModelSource(origin="file", name="net", task="classification")
    recipe = Recipe.model_validate({"model": "net.py:net", "data": {"source": "photos"}, "input": fields})

    _, assumed = preprocess_of(recipe, model, SCRATCH)

    assert assumed == (() if told is None else (f"{told} if the network was trained otherwise",))


@pytest.mark.parametrize(
    ("fields", "assumed"),
    [
        (
            {"size": 256, "mean": 0.5, "std": 0.5},
            "the whole image squashed to 256 taken as what suits a device; set input.resize if",
        ),
        ({}, "the whole image squashed to 320 taken as what suits a device and mean and std taken as ImageNet's"),
    ],
)
def test_what_is_assumed_of_a_detector_s_input_is_told_at_the_size_that_was_said(
    fields: dict[str, Any], assumed: str
) -> None:
    model = ModelSource(origin="file", name="ssdlite", task="detection")
    recipe = Recipe.model_validate({"model": "net.py:ssdlite", "data": {"source": "photos"}, "input": fields})

    (told,) = preprocess_of(recipe, model, SCRATCH)[1]
    assert told.startswith(assumed)
