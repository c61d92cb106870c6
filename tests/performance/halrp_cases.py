"""HALRP's costs as ratios: decomposition, evaluation of a finished task, a training step.

    python tests/performance/halrp_cases.py [--json]

:func:`measure` returns a row for each case. A case is timed only after its two sides have computed
the same thing; in each round they run one after the other, and a ratio is the median of the
rounds' ratios.
"""

from __future__ import annotations

import copy
import gc
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace

import cl_strategies  # noqa: F401  (repairs torchvision before anything below imports it)

# isort: split
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.models.backbones.lenet import wide_lenet
from cl_strategies.plugins import LeanEvaluationPlugin, ResidentDataPlugin
from cl_strategies.plugins.low_rank.algorithm import LowRankPerturbation
from cl_strategies.plugins.low_rank.functional import Spectrum, select_ranks, truncated_svd
from cl_strategies.plugins.low_rank.model import HALRPModel
from cl_strategies.strategies.halrp import HALRP
from cl_strategies.strategies.naive import Naive

SHAPE, CLASSES, BATCH, STEPS = (1, 28, 28), 10, 128, 8
SVD_SHAPE, SVD_RANK = (800, 3200), 100


@dataclass(kw_only=True)
class Row:
    """One measurement.

    :param ours: seconds of this package, one for each round.
    :param reference: seconds of what it is compared with.
    :param proof: what was compared before, and the largest relative difference found.
    :param most: upper limit of ours / reference.
    """

    name: str
    title: str
    compared_with: str
    most: float
    proof: dict[str, float]
    ours: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median over the rounds of ours / reference."""
        return statistics.median(a / b for a, b in zip(self.ours, self.reference, strict=True))

    def to_dict(self) -> dict[str, object]:
        """Plain data, with the ratio."""
        return {**asdict(self), "ratio": self.ratio, "ok": self.ratio <= self.most}


def measure(rounds: int = 7) -> list[Row]:
    """Every case, proved and timed.

    :raises SystemExit: if the two sides of a case differ; nothing is reported then.
    """
    cases = (svd, evaluation, training_step)
    return [_timed(*case(), rounds=rounds) for case in cases]


Case = tuple[Row, Callable[[], float], Callable[[], float]]


def _timed(
    row: Row, ours: Callable[[], float], reference: Callable[[], float], *, rounds: int
) -> Row:
    for name, difference in row.proof.items():
        if not difference <= 1e-5:
            raise SystemExit(f"{row.name}: the result differs from {name} by {difference}")
    ours(), reference()
    for _ in range(rounds):
        for function, seconds in ((ours, row.ours), (reference, row.reference)):
            gc.collect()
            seconds.append(function())
    return row


def _clock(function: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return seconds


# ---------------------------------------------------------------------- truncated SVD


def residuals() -> dict[str, Tensor]:
    """800 x 3200 residuals: noise, and spectra that decay slowly and fast."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(*SVD_SHAPE, generator=generator)
    q = torch.linalg.qr(torch.randn(800, 800, generator=generator, dtype=torch.float64)).Q
    p = torch.linalg.qr(torch.randn(3200, 800, generator=generator, dtype=torch.float64)).Q
    slow = q * torch.arange(1, 801).double() ** -0.5 @ p.T
    fast = q * torch.logspace(0, -6, 800).double() @ p.T
    return {"noise": noise, "slow decay": slow.float(), "fast decay": fast.float()}


def svd() -> Case:
    """The 100 leading components of a residual against all of ``torch.linalg.svd``."""
    proof: dict[str, float] = {}
    for name, matrix in residuals().items():
        u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
        best = u[:, :SVD_RANK] * s[:SVD_RANK] @ v[:SVD_RANK]
        left, values, right = truncated_svd(matrix, SVD_RANK)
        kept = left.double() * values.double() @ right.double()
        proof[f"kept part, {name}"] = float((kept - best).norm() / best.norm())
        spectrum = Spectrum(matrix).values
        for alpha in (0.5, 0.9, 0.99, 0.999):
            ranks = [select_ranks([x], [1.0], alpha=alpha)[0] for x in (spectrum, s)]
            proof[f"rank at {alpha}, {name}"] = float(abs(ranks[0] - ranks[1]))
    matrix = residuals()["noise"]
    row = Row(
        name="halrp-svd",
        title="Truncated SVD, 800 x 3200, rank 100",
        compared_with="torch.linalg.svd",
        most=0.5,
        proof=proof,
    )
    return (
        row,
        _clock(lambda: truncated_svd(matrix, SVD_RANK)),
        _clock(lambda: torch.linalg.svd(matrix, full_matrices=False)),
    )


# ---------------------------------------------------------------------- evaluation


def evaluation() -> Case:
    """Ten batches of a finished task, weights made anew, against the plain network."""
    torch.manual_seed(0)
    network = wide_lenet(input_shape=SHAPE, n_classes=CLASSES, scenario="task")
    network.head.adaptation(_experience(0))
    model = HALRPModel(copy.deepcopy(network)).train()
    images = [torch.randn(256, *SHAPE) for _ in range(10)]
    labels = torch.randint(0, CLASSES, (256,))
    _learn(model, 0, images[:1], labels)
    _learn(model, 1, images[:2], labels, LowRankPerturbation())
    plain = network.eval()
    plain.head.adaptation(_experience(1))
    plain.load_state_dict(_weights_of(model, 1), strict=False)

    def run(computes: nn.Module, label: int) -> list[Tensor]:
        computes.train()  # gives the materialized weights up
        computes.eval()
        with torch.no_grad():
            return [computes(x, label) for x in images]

    proof = {"plain network with these weights": _apart(run(model, 1), run(plain, 0))}
    row = Row(
        name="halrp-evaluation",
        title="HALRP, evaluation of a finished task",
        compared_with="the base network",
        most=1.2,
        proof=proof,
    )
    return row, _clock(lambda: run(model, 1)), _clock(lambda: run(plain, 0))


def _experience(label: int) -> SimpleNamespace:
    return SimpleNamespace(task_labels=[label], classes_in_this_experience=list(range(CLASSES)))


def _learn(
    model: HALRPModel,
    label: int,
    images: Sequence[Tensor],
    labels: Tensor,
    algorithm: LowRankPerturbation | None = None,
) -> None:
    """A few steps, so that a task has weights, statistics and ranks of its own."""
    model.adaptation(_experience(label))
    task = model.current
    optimizer = torch.optim.Adam(model.parameters_of(task), lr=1e-3)
    for x in images:
        optimizer.zero_grad()
        F.cross_entropy(model(x, label), labels).backward()
        optimizer.step()
    if algorithm is not None:
        algorithm.decompose(model, [(images[0], labels)], F.cross_entropy)
    model.finish()


def _weights_of(model: HALRPModel, label: int) -> dict[str, Tensor]:
    """The network of one task as the state of a plain network with one head."""
    task = model.task(label)
    state: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, layer in model.layers.items():
            entry = layer.tasks[task.name]
            state[f"{name}.weight"] = entry.weight(layer.weight)
            state[f"{name}.bias"] = entry.bias
        for (name, _), norm in zip(model.norms.items(), model.norms_of(task), strict=True):
            state |= {f"{name}.{key}": value for key, value in norm.state_dict().items()}
        for key, value in model.head.heads[task.name].state_dict().items():
            state[f"head.heads.0.{key}"] = value
    return state


def _apart(ours: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    return max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, others, strict=True)
    )


# ---------------------------------------------------------------------- training step


class EpochSeconds(SupervisedPlugin):
    """Seconds of each epoch of training."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def before_training_epoch(self, strategy: object, **kwargs: object) -> None:
        self._start = time.perf_counter()

    def after_training_epoch(self, strategy: object, **kwargs: object) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def training_step() -> Case:
    """An epoch of fine-tuning against an epoch of naive training of the same network."""
    torch.manual_seed(0)
    data = [
        (torch.randn(BATCH * STEPS, *SHAPE), torch.arange(BATCH * STEPS) % CLASSES)
        for _ in range(2)
    ]
    stream = build_benchmark(data, data, name="noise", scenario="task").train_stream

    def trained(kind: type[Naive] | type[HALRP], epochs: int) -> float:
        torch.manual_seed(0)
        model = wide_lenet(input_shape=SHAPE, n_classes=CLASSES, scenario="task")
        clock = EpochSeconds()
        strategy = kind(
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
            train_mb_size=BATCH,
            train_epochs=epochs,
            plugins=[ResidentDataPlugin(), clock],
            evaluator=LeanEvaluationPlugin(loggers=None),
        )
        for experience in stream:
            strategy.train(experience)
        return clock.seconds[-1]  # for HALRP with two epochs, the one after the decomposition

    row = Row(
        name="halrp-step",
        title=f"HALRP, fine-tuning, batches of {BATCH}",
        compared_with="Naive on the same network",
        most=2.0,
        proof={"autograd through Eq. 6-7 and Eq. 12": _gradient_difference(data[0])},
    )
    return row, lambda: trained(HALRP, 2), lambda: trained(Naive, 1)


def _gradient_difference(data: tuple[Tensor, Tensor]) -> float:
    """Gradients of a step against those through explicitly made weights, in float64."""
    torch.manual_seed(0)
    network = wide_lenet(input_shape=SHAPE, n_classes=CLASSES, scenario="task")
    network.head.adaptation(_experience(0))
    plain, x, y = copy.deepcopy(network.double()), data[0][:BATCH].double(), data[1][:BATCH]
    algorithm = LowRankPerturbation()
    model = HALRPModel(network).train()
    _learn(model, 0, [x], y)
    model.adaptation(_experience(1))
    model.double()  # the new head
    algorithm.decompose(model, [(x, y)], F.cross_entropy)
    entries = model.factors(model.current)
    own = [p for entry in entries.values() for p in entry.parameters() if p.numel()]
    F.cross_entropy(model(x, 1), y).backward()
    algorithm.add_regularizer_gradient(model)
    ours = [p.grad.clone() for p in own]

    state = {k: v for k, v in _weights_of(model, 1).items() if not k.startswith("backbone")}
    for name, layer in model.layers.items():
        entry = entries[name]
        state |= {f"{name}.weight": entry.weight(layer.weight), f"{name}.bias": entry.bias}
    for (name, _), norm in zip(model.norms.items(), model.norms_of(model.current), strict=True):
        state |= {f"{name}.{k}": v.detach().clone() for k, v in norm.state_dict().items()}
    loss = F.cross_entropy(functional_call(plain.train(), state, (x, 0)), y)
    reference = torch.autograd.grad(loss + algorithm.regularizer(model), own)
    largest = max(float(g.abs().max()) for g in reference)
    return max(float((a - b).abs().max()) for a, b in zip(ours, reference, strict=True)) / largest


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| Case | Compared with | Ours / other | At most | Largest difference |",
        "|---|---|---:|---:|---:|",
    ]
    for row in rows:
        worst = max(row.proof.values())
        lines.append(
            f"| {row.title} | {row.compared_with} | {row.ratio:.2f} | {row.most:g} | {worst:.0e} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = measure()
    as_json = sys.argv[1:] == ["--json"]
    print(json.dumps([row.to_dict() for row in results]) if as_json else table(results))
