"""The model of costs: finds the rates there are, and meets what was measured last."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.planning.goal.cost_model import Observation, fit_cost_model
from pipeline.planning.goal.layer_costs import LayerCost


def _layer(name: str, block: str, macs: int, takes: str | None, makes: str | None) -> LayerCost:
    taken = {takes: 1.0} if takes else {}
    return LayerCost(name=name, macs=macs, params=macs // 10, block=block, takes=taken, makes=makes, depthwise=False)


_LAYERS = [
    _layer("a", "large", 1_000_000, None, "a"),
    _layer("b", "large", 4_000_000, "a", "b"),
    _layer("c", "small", 2_000_000, "b", "c"),
    _layer("d", "small", 500_000, "c", None),
]
_RATES, _FIXED = {"large": 2e-9, "small": 7e-9}, 3e-3


def _cost(left: dict[str, float]) -> float:
    return _FIXED + sum(_RATES[layer.block] * layer.macs * layer.share(left) for layer in _LAYERS)


def _seen(left: dict[str, float], off: float = 0.0) -> Observation:
    return Observation(layers=_LAYERS, left=left, cost=_cost(left) * (1 + off))


_WHOLE = {"a": 1.0, "b": 1.0, "c": 1.0}
_SEEN = [_WHOLE, {"a": 0.1, "b": 0.1, "c": 0.1}, {**_WHOLE, "a": 0.5}, {**_WHOLE, "c": 0.5}, {**_WHOLE, "b": 0.4}]


def test_it_predicts_a_cost_that_adds_up_from_layers() -> None:
    model = fit_cost_model([_seen(left) for left in _SEEN], by_params=False)
    for left in ({"a": 0.3, "b": 0.8, "c": 0.5}, {"a": 0.9, "b": 0.2, "c": 0.7}):
        assert model.predict(left) == pytest.approx(_cost(left), rel=0.02)


@settings(deadline=None)
@given(noise=st.lists(st.floats(-0.3, 0.3), min_size=5, max_size=5), share=st.floats(0.1, 1))
def test_whatever_was_measured_no_rate_is_negative_and_the_last_network_is_met(
    noise: list[float], share: float
) -> None:
    measured = [_seen(left, off) for left, off in zip(_SEEN, noise, strict=True)]
    model = fit_cost_model(measured, by_params=False)
    assert min(model.rates.values()) >= 0
    assert model.fixed >= 0
    assert model.predict(_SEEN[-1]) == pytest.approx(measured[-1].cost)
    fewer = dict.fromkeys(_WHOLE, share)
    assert model.predict(fewer) <= model.predict(_WHOLE) + 1e-12


def test_from_the_unpruned_network_alone_it_takes_all_blocks_alike() -> None:
    model = fit_cost_model([_seen(_WHOLE)], by_params=False)
    assert np.ptp(list(model.rates.values())) == pytest.approx(0, abs=1e-12)
    assert model.predict(_WHOLE) == pytest.approx(_cost(_WHOLE))


def test_a_saving_is_the_difference_of_two_predictions() -> None:
    model = fit_cost_model([_seen(left) for left in _SEEN], by_params=True)
    now = {"a": 0.8, "b": 0.6, "c": 1.0}
    touched = [layer for layer in _LAYERS if "b" in {*layer.takes, layer.makes}]
    wanted = model.predict(now) - model.predict({**now, "b": 0.3})
    assert model.saving(now, "b", 0.3, touched) == pytest.approx(wanted)


def test_a_network_with_fewer_layers_is_predicted_by_what_others_had() -> None:
    fewer = [layer for layer in _LAYERS if layer.name != "c"]  # as where a residual block was left out
    cost = _cost(_WHOLE) - _RATES["small"] * 2_000_000
    known = [_seen(left) for left in _SEEN]

    model = fit_cost_model([*known, Observation(layers=fewer, left=_WHOLE, cost=cost)], by_params=False)

    assert model.predict(_WHOLE) == pytest.approx(cost)
    half = {**_WHOLE, "a": 0.5}
    assert model.predict(half) == pytest.approx(cost - _RATES["large"] * (500_000 + 2_000_000), rel=0.02)
