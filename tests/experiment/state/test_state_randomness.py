"""Random numbers drawn in worker processes and on a GPU are those of the uninterrupted run."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor, nn

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.setup.seeding import derive_seed, seed_everything
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.plugins import ResidentDataPlugin
from cl_strategies.registry import registry


class Noise:
    """Draws from every generator that a transform may use; equal only if all of them are."""

    def __call__(self, x: Tensor) -> Tensor:
        drawn = np.random.normal() + random.gauss(0, 1)
        return x + 0.1 * drawn + 0.1 * torch.randn_like(x)


@pytest.fixture(scope="module")
def stream() -> Any:
    generator = torch.Generator().manual_seed(0)
    tasks = [
        (torch.rand(40, 1, 6, 6, generator=generator), torch.arange(40) % 2 + 2 * task)
        for task in range(3)
    ]
    noise = (Noise(), Noise())
    return build_benchmark(tasks, tasks, name="noisy", scenario="class", transforms=noise)


def build(name: str, device: str = "cpu") -> Any:
    seed_everything(3)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(36, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 6)
    )
    return registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        train_mb_size=8,
        train_epochs=2,
        device=device,
        plugins=[ResidentDataPlugin()],
        evaluator=EvaluationPlugin(loggers=[]),
        **({"mem_size": 12} if name == "replay" else {}),
    )


def train(strategy: Any, stream: Any, positions: Any, **options: Any) -> None:
    for position in positions:
        seed_everything(derive_seed(0, "experience", position))
        strategy.train(stream.train_stream[position], **options)


def resumed(strategy: Any, fresh: Any, stream: Any, position: int) -> Any:
    """``fresh`` in the state of ``strategy``, by way of a file."""
    file = io.BytesIO()
    torch.save(capture_state(strategy), file)
    file.seek(0)
    random.seed(99), np.random.seed(99), torch.manual_seed(99)  # another process has others
    seen = list(stream.train_stream[: position + 1])
    restore_state(fresh, torch.load(file, weights_only=True), experiences_seen=seen)
    return fresh


def weights(strategy: Any) -> Tensor:
    return torch.cat([value.flatten().cpu() for value in strategy.model.state_dict().values()])


@pytest.mark.parametrize("name", ["naive", pytest.param("replay", marks=pytest.mark.slow)])
def test_data_workers_draw_what_they_would_have_drawn(name: str, stream: Any) -> None:
    whole, first = build(name), build(name)
    train(whole, stream, range(3), num_workers=2)
    train(first, stream, range(1), num_workers=2)
    second = resumed(first, build(name), stream, 0)
    train(second, stream, range(1, 3), num_workers=2)
    assert torch.equal(weights(second), weights(whole))


def test_the_noise_of_data_workers_is_there_and_follows_the_seed(stream: Any) -> None:
    """Or the test above would prove nothing."""
    same, other = build("naive"), build("naive")
    train(same, stream, range(1), num_workers=2)
    seed_everything(1)
    other.train(stream.train_stream[0], num_workers=2)
    assert not torch.equal(weights(same), weights(other))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("name", ["naive", "replay"])
def test_a_gpu_draws_what_it_would_have_drawn(name: str, stream: Any) -> None:
    """Dropout on the device: its generator is seeded with all others at each experience."""
    whole, first = build(name, "cuda"), build(name, "cuda")
    train(whole, stream, range(3))
    train(first, stream, range(1))
    second = resumed(first, build(name, "cuda"), stream, 0)
    torch.cuda.manual_seed_all(5)
    train(second, stream, range(1, 3))
    assert torch.equal(weights(second), weights(whole))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_run_on_a_gpu_resumes_with_the_same_numbers_and_leaves_its_generator(tmp_path) -> None:
    config = ExperimentConfig.from_dict(
        {
            "benchmark": {"name": "split-digits", "n_experiences": 3, "fraction": 0.3},
            "strategy": {"name": "replay", "mem_size": 30},
            "run": {"device": "cuda"},
        }
    )

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    before = torch.cuda.get_rng_state()
    whole = run(config, tmp_path / "whole")
    assert torch.equal(torch.cuda.get_rng_state(), before)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "cut", progress=stop)
    assert run(config, tmp_path / "cut").accuracy_matrix == whole.accuracy_matrix
