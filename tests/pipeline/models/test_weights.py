"""Reading weights without running them, and what is said when they do not fit."""

from __future__ import annotations

import os
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import densenet121, googlenet, mnasnet0_5

from pipeline.artifact import sha256_of_file
from pipeline.errors import WeightsError
from pipeline.models import published_eps
from pipeline.models.build import build_network
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.models.weights import LoadedWeights, load_weights, read_state_dict


def _net(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))


def _equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


def _load(network: nn.Module, file: Path, origin: Any = "file") -> LoadedWeights:  # noqa: ANN401 - a literal
    return load_weights(network, WeightsSource(origin=origin, file=file))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"model_ema": {"n_averaged": torch.tensor(1), **state}},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
        lambda state: {"model": state, "args": Namespace(lr=0.1, out=Path("x")), "epoch": 3},
        lambda state: {
            "model": state,
            "map": np.float64(0.3),
            "losses": np.zeros(3),
            "log": defaultdict(list, {"a": [1]}),
        },
        lambda state: {"weights": state, "optimizer": {"state": {0: {"step": torch.tensor(1)}}, "lr": 0.1}},
        lambda state: {"checkpoint": {"model": state}, "epoch": 3},
        lambda state: {f"model.module.{key}": value for key, value in state.items()},
    ],
)
def test_a_state_dict_is_found_where_training_scripts_keep_it(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    saved, network = _net(), _net()
    torch.save(wrap(saved.state_dict()), tmp_path / "net.pth")
    assert _load(network, tmp_path / "net.pth") == LoadedWeights()
    assert _equal(network.state_dict(), saved.state_dict())


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    saved, network = _net(), _net()
    save_file(saved.state_dict(), tmp_path / "net.safetensors")
    _load(network, tmp_path / "net.safetensors")
    assert _equal(network.state_dict(), saved.state_dict())


def test_a_network_whose_own_keys_start_with_module_keeps_them(tmp_path: Path) -> None:
    saved, network = nn.Module(), nn.Module()
    saved.module, network.module = nn.Linear(2, 2), nn.Linear(2, 2)
    torch.save(saved.state_dict(), tmp_path / "net.pth")
    _load(network, tmp_path / "net.pth")
    assert _equal(network.state_dict(), saved.state_dict())


def test_scratch_changes_nothing() -> None:
    network = _net()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert load_weights(network, WeightsSource(origin="scratch")) == LoadedWeights()
    assert _equal(network.state_dict(), before)


def test_weights_of_another_network_name_the_first_keys_and_shapes_that_differ(tmp_path: Path) -> None:
    other = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5, 3))
    torch.save(other.state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="these weights do not fit the network") as raised:
        _load(_net(), tmp_path / "net.pth")
    text = str(raised.value)
    assert "other shape: 0.weight is [5, 3, 3, 3], the network has [4, 3, 3, 3]" in text
    assert "missing: 3.weight [3, 4], 3.bias [3]" in text
    assert "not expected: 4.weight [3, 5], 4.bias [3]" in text
    assert str(tmp_path / "net.pth") in text


def test_pretrained_weights_for_other_classes_leave_the_head_fresh(tmp_path: Path) -> None:
    saved, network = _net(classes=1000), _net(classes=3)
    torch.save(saved.state_dict(), tmp_path / "net.pth")
    head = network[3].weight.clone()
    assert _load(network, tmp_path / "net.pth", "pretrained").fresh_head == ("3.weight", "3.bias")
    assert torch.equal(network[3].weight, head)
    assert torch.equal(network[0].weight, saved[0].weight)


def test_a_file_of_ones_own_for_other_classes_is_an_error_that_counts_them(tmp_path: Path) -> None:
    torch.save(_net(classes=1000).state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="for 1000 classes, the data has 3"):
        _load(_net(classes=3), tmp_path / "net.pth")


def test_of_a_detector_s_head_no_classes_are_counted(tmp_path: Path) -> None:
    """It answers for a background too, and for the sides of boxes or several anchors."""
    heads = [nn.ModuleDict({"score": nn.Linear(4, count), "sides": nn.Linear(4, 4 * count)}) for count in (91, 6)]
    torch.save(heads[0].state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        WeightsError, match=r"they are for another number of classes: the data have to name all classes"
    ):
        _load(heads[1], tmp_path / "w.pth")  # type: ignore[arg-type]


def test_pretrained_weights_that_differ_elsewhere_are_an_error_too(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 5, 3)).state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"missing: 1\.weight"):
        _load(_net(), tmp_path / "net.pth", "pretrained")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = _net().state_dict()
    state["3.bias"][1] = float("nan")
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"not finite: 3\.bias"):
        _load(_net(), tmp_path / "net.pth")


class _Trap:
    """What a malicious file looks like: loading it runs a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_of_two_state_dicts_without_a_known_name_none_is_guessed(tmp_path: Path) -> None:
    state = _net().state_dict()
    torch.save({"student": state, "teacher": state}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="no weights in this file"):
        _load(_net(), tmp_path / "net.pth")


def test_a_file_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": _Trap(tmp_path / "ran")}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="this file holds more than weights"):
        read_state_dict(tmp_path / "net.pth")
    assert not (tmp_path / "ran").exists()


def test_a_whole_saved_module_is_refused_with_advice(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"torch.save\(network.state_dict\(\), path\)"):
        read_state_dict(tmp_path / "net.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 7, 100, 600])
def test_a_truncated_file_is_one_clear_error(tmp_path: Path, suffix: str, keep: int) -> None:
    path = tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save(_net().state_dict(), path)
    else:
        save_file(_net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError) as raised:
        read_state_dict(path)
    assert raised.value.where == str(path)


@pytest.mark.parametrize("value", [{"epoch": 3}, [1, 2], {}, {"state_dict": {}}])
def test_a_file_without_tensors_says_what_it_holds(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="no weights in this file"):
        read_state_dict(tmp_path / "net.pth")


def test_torchvisions_googlenet_file_loads_without_its_training_heads(tmp_path: Path) -> None:
    torch.save(googlenet(weights=None, init_weights=False, aux_logits=True).state_dict(), tmp_path / "net.pth")
    network = build_network(ModelSource(origin="torchvision", name="googlenet"), classes=1000)
    loaded = _load(network, tmp_path / "net.pth", "pretrained")
    assert loaded.fresh_head == ()
    assert {key.split(".")[0] for key in loaded.ignored} == {"aux1", "aux2"}


def test_torchvisions_old_names_in_densenet_files_are_understood(tmp_path: Path) -> None:
    saved, network = densenet121(num_classes=3), densenet121(num_classes=3)
    old = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v for key, v in saved.state_dict().items()}
    assert any("norm.1." in key for key in old)
    torch.save(old, tmp_path / "net.pth")
    _load(network, tmp_path / "net.pth")
    assert _equal(network.state_dict(), saved.state_dict())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_older_than_batch_normalisations_counter_load(tmp_path: Path, suffix: str) -> None:
    saved, network = _net(), _net()
    state = {key: value for key, value in saved.state_dict().items() if "num_batches" not in key}
    path = tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    assert _load(network, path) == LoadedWeights()
    assert _equal(network.state_dict(), saved.state_dict())


def test_a_network_that_insists_on_versions_loads_from_safetensors(tmp_path: Path) -> None:
    saved, network = mnasnet0_5(num_classes=3), mnasnet0_5(num_classes=3)
    save_file(saved.state_dict(), tmp_path / "net.safetensors")
    _load(network, tmp_path / "net.safetensors")
    assert _equal(network.state_dict(), saved.state_dict())


def test_weights_saved_with_the_module_around_their_network_fit(tmp_path: Path) -> None:
    saved, network = _net(), _net()
    torch.save({f"model.{key}": value for key, value in saved.state_dict().items()}, tmp_path / "net.pth")
    _load(network, tmp_path / "net.pth")
    assert _equal(network.state_dict(), saved.state_dict())


def test_weights_that_were_published_without_an_epsilon_compute_what_they_were_published_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchvision's ``overwrite_eps`` lets them; what the epsilon is here stays."""
    saved, network = _net().eval(), _net().eval()
    norm = saved[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    norm.running_var.copy_(torch.tensor([1e-6, 1e-5, 1e-3, 1.0]))
    torch.save(saved.state_dict(), tmp_path / "net.pth")
    norm.eps = 0.0
    image = torch.rand(1, 3, 3, 3)
    sha256 = sha256_of_file(tmp_path / "net.pth")
    weights = WeightsSource(origin="file", file=tmp_path / "net.pth", file_sha256=sha256)
    found = []
    for published in ((sha256[:8],), ("258fb6c6",)):
        monkeypatch.setattr(published_eps, "_WITHOUT", published)
        load_weights(network, weights)
        found.append(torch.allclose(network(image), saved(image), rtol=1e-4))

    assert found == [True, False]
    assert network[1].eps == 1e-5
