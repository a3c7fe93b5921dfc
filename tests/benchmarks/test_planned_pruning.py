"""Planned networks beside uniform ones: the uniform one costs the same, and is what torch-pruning makes of itself."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
import torch_pruning

from benchmarks.planned_pruning import Row, main, table, uniform_alike
from pipeline.models.build import build_network
from pipeline.models.resolve import resolve_model
from pipeline.planning.goal.outline import Outline
from pipeline.pruning.channel_groups import ChannelGroup, ChannelGroups
from pipeline.pruning.kept_channels import kept_channels
from pipeline.recipe import GoalSection
from pipeline.recipe.reading import dump_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.planning.goal.measured_networks import MeasuredNetworks
    from pipeline.recipe import Recipe


def _group(root: str, channels: int) -> ChannelGroup:
    scores = torch.ones(channels)
    return ChannelGroup(root=root, channels=channels, scores=scores, copies=1, kind="", makes=(root,), takes={})


class _CostsItsChannels:
    """Networks that cost what is left of their channels."""

    def once(self, what: str, outline: Outline, kept: Mapping[str, int]) -> Any:  # noqa: ANN401 - stands for a network
        left = sum(kept.values()) / sum(outline.all_channels.values())
        return SimpleNamespace(label=what, kept=kept, found={"latency": left})


@pytest.mark.parametrize("cost", [0.3, 0.5, 0.8])
def test_the_uniform_network_costs_what_the_planned_one_does(cost: float) -> None:
    outline = Outline(size=(32, 32), groups=(_group("a", 128), _group("b", 512)), layers=(), round_to=8)

    found = uniform_alike(cast("MeasuredNetworks", _CostsItsChannels()), outline, "latency", cost)

    assert found.found["latency"] == pytest.approx(cost, abs=0.03)
    assert found.kept["a"] / 128 == pytest.approx(found.kept["b"] / 512, abs=8 / 128)


def test_a_uniform_network_is_what_torch_pruning_leaves_by_itself() -> None:
    torch.manual_seed(0)
    ours = build_network(resolve_model("resnet18"), classes=10).eval()
    theirs: Any = copy.deepcopy(ours)

    cutter = ChannelGroups(ours, input_shape=(1, 3, 64, 64), outputs=10)
    whole = {group.root: group.channels for group in cutter.groups()}
    cutter.cut(kept_channels(cutter.groups(), ratio=0.3, scope="layer", round_to=8, of=whole))
    torch_pruning.pruner.MagnitudePruner(
        theirs,
        torch.zeros(1, 3, 64, 64),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.3,
        round_to=8,
        ignored_layers=[theirs.fc],
    ).step()

    own, other = ours.state_dict(), theirs.state_dict()
    assert {name: tensor.shape for name, tensor in own.items()} == {n: tensor.shape for n, tensor in other.items()}
    assert all(torch.equal(tensor, other[name]) for name, tensor in own.items())


def test_a_way_is_told_by_its_mean_and_each_seed() -> None:
    (budget,) = GoalSection(latency="0.5x").budgets()
    rows = [
        Row(way="planned", seed=seed, cost=0.49, params=1_500_000, before=0.25, after=accuracy)
        for seed, accuracy in enumerate((0.5, 0.7))
    ]

    line = table(rows, budget).splitlines()[-1]

    assert line == "| planned | 0.49x, 0.49x | 1.50 M, 1.50 M | 25.00 % (25.0, 25.0) | 60.00 % (50.0, 70.0) |"


def test_a_goal_of_several_quantities_is_refused(
    tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goal = GoalSection(latency="0.5x", size="0.5x")
    (tmp_path / "recipe.yaml").write_text(dump_recipe(tiny_recipe.model_copy(update={"goal": goal})), "utf-8")

    assert main([str(tmp_path / "recipe.yaml")]) == 2
    assert "networks are compared by one quantity" in capsys.readouterr().err


@pytest.mark.slow
def test_every_way_is_cut_recovered_and_judged(
    tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe.model_copy(update={"goal": GoalSection(macs="0.6x")})
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe), "utf-8")

    assert main([str(tmp_path / "recipe.yaml"), "--seeds", "1"]) == 0

    ways = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines()[2:]}
    assert list(ways) == ["unpruned", "planned", "planned, any channels", "uniform", "uniform, any channels"]
    assert "| 1x |" in ways["unpruned"]
    assert ways["planned"].split("|")[2:4] == ways["planned, any channels"].split("|")[2:4]
