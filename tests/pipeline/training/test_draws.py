"""What is drawn within a step is decided by numbers alone."""

from __future__ import annotations

import pytest
import torch

from pipeline.training.draws import seed_step

_CPU = torch.device("cpu")


def _drawn(seed: int, process: int, step: int) -> tuple[float, ...]:
    seed_step(_CPU, seed=seed, process=process, step=step)
    return tuple(torch.rand(4).tolist())


def test_seed_process_and_step_decide_what_is_drawn() -> None:
    with torch.random.fork_rng(devices=[]):
        first = _drawn(1, 0, 7)
        torch.rand(3)
        assert _drawn(1, 0, 7) == first
        others = [_drawn(*numbers) for numbers in ((2, 0, 7), (1, 1, 7), (1, 0, 8), (1, 7, 0), (-1, 0, 7), (1, 0, 70))]
        assert len({first, *others}) == 7


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_they_decide_what_is_drawn_on_a_gpu() -> None:
    def drawn(step: int) -> tuple[float, ...]:
        seed_step(torch.device("cuda"), seed=1, process=0, step=step)
        return tuple(torch.rand(4, device="cuda").tolist())

    with torch.random.fork_rng(devices=["cuda"]):
        first = drawn(7)
        assert drawn(8) != first
        assert drawn(7) == first
