"""Look at how CIM learns masks where the right boxes are known: ``docs/mask_learning.py``.

Writes ``reports/published/mask-learning/measured.csv`` and the tables of docs/methods/cim.md. The
network of the recipe ``cim-photographs`` learns all classes at once, then stays as it is.
"""

from __future__ import annotations

import csv
import tomllib
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from measured import PUBLISHED, ROOT, filled
from torch import Tensor
from torch.nn.functional import cross_entropy

from cl_strategies.experiment import ExperimentConfig
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.plugins.masking.bilevel import MaskObjective, inner_losses
from cl_strategies.plugins.masking.box_statistics import intersection_over_union
from cl_strategies.plugins.masking.boxes import CamBoxes, TrueBoxes, all_boxes
from cl_strategies.plugins.masking.cam_extractor import CamExtractor
from cl_strategies.plugins.masking.functional import soft_compress
from cl_strategies.plugins.masking.mask_learner import MaskLearner, MaskSchedule, endless
from cl_strategies.plugins.masking.pade import PadeActivations, count_relus

CSV = PUBLISHED / "mask-learning" / "measured.csv"
PAGE = ROOT / "docs" / "methods" / "cim.md"
RECIPE = ROOT / "benchmarks" / "recipes" / "cim-photographs.toml"
FIELDS = ["seed", "of", "case", "eta", "value", "other"]
SEEDS, EPOCHS, STEPS, BATCHES = (0, 1, 2), 8, 34, 40
RATES = (0.0001, 0.001, 0.01, 0.1)
#: What phi is learned with: the rate of the inner step, or none, and the weights of the terms.
LEARNED: dict[str, tuple[float, dict[str, Any]]] = {
    "not learned": (0.0, {}),
    "both own terms": (0.0, {"second_order": False}),
    "all terms, beta_1 0.001": (0.001, {}),
    "all terms, beta_1 0.1": (0.1, {}),
    "through the step alone, beta_1 0.001": (0.001, {"penalty": 0.0, "diversity": 0.0}),
}


class Trained(NamedTuple):
    """A strategy that has learned all classes, and what it has seen.

    :ivar images: ``(N, 3, H, W)``.
    :ivar labels: ``(N,)``.
    :ivar boxes: ``(N, 4)``, those that the stream knows.
    """

    strategy: Any
    dataset: Any
    images: Tensor
    labels: Tensor
    boxes: Tensor


def trained(seed: int, *, epochs: int = EPOCHS, **stream: Any) -> Trained:
    """Train the network of the recipe on all classes at once."""
    recipe = tomllib.loads(RECIPE.read_text("utf-8"))
    config = ExperimentConfig.from_dict(
        {
            "benchmark": {**recipe["benchmarks"][0], "n_experiences": 1, **stream},
            "model": recipe["model"],
            "train": {**recipe["train"], "epochs": epochs},
            "strategy": {"name": "naive"},
        }
    )
    seed_everything(seed)
    benchmark = build_benchmark(config.benchmark)
    model = build_model(config, benchmark.info)
    strategy = build_strategy(config, benchmark.info, model, device="cpu", evaluator=None)
    experience = benchmark.train_stream[0]
    strategy.train(experience)
    dataset = experience.dataset.eval()
    samples = [dataset[row] for row in range(len(dataset))]
    return Trained(
        strategy=strategy,
        dataset=dataset,
        images=torch.stack([sample[0] for sample in samples]),
        labels=torch.tensor([int(sample[1]) for sample in samples]),
        boxes=all_boxes(dataset, TrueBoxes()(strategy, dataset)),
    )


def steps(found: Trained, batches: int = BATCHES) -> Iterator[tuple[str, float, float]]:
    """Rate of an inner step, and the loss of its own batch before it and after it."""
    model = found.strategy.model.eval()
    extractor = CamExtractor(model, found.images[:2])
    activations = PadeActivations(count_relus(lambda: model(found.images[:2])))
    for rate in RATES:
        rows = torch.randint(len(found.images), (batches, 16), generator=_generator())
        losses = [
            inner_losses(
                *(model, activations, extractor, (found.images[row], found.labels[row])),
                MaskObjective(filter="box"),
                lr=rate,
                inner_loss=lambda network, x, y: cross_entropy(network(x), y),
            )
            for row in rows
        ]
        before, after = np.mean(losses, axis=0)
        yield str(rate), float(before), float(after)


@torch.no_grad()
def blurred(found: Trained, eta: float) -> Iterator[tuple[str, float, float]]:
    """What keeps its pixels, loss and accuracy of training images whose rest is compressed."""
    model = found.strategy.model.eval()
    other = found.boxes[torch.randperm(len(found.boxes), generator=_generator())]
    height, width = found.images.shape[-2:]
    whole = torch.tensor([[0, height, 0, width]]).expand(len(other), 4)
    kept = {
        "the whole image": whole,
        "its own box": found.boxes,
        "the box of another image": other,
        "nothing": torch.zeros_like(whole),
    }
    for name, boxes in kept.items():
        losses, hits = 0.0, 0
        for rows in torch.arange(len(other)).split(100):
            masks = _filled_boxes(boxes[rows], height, width)
            logits = model(soft_compress(found.images[rows], masks, eta=eta, filter="box"))
            labels = found.labels[rows]
            losses += float(cross_entropy(logits, labels, reduction="sum"))
            hits += int((logits.argmax(1) == labels).sum())
        yield name, losses / len(other), hits / len(other)


def boxes_by_terms(found: Trained, steps: int = STEPS) -> Iterator[tuple[str, float, float]]:
    """What phi was learned with, share of an image in its box, overlap with the known box."""
    yield "class activation maps", *_measured(found, None)
    for name, (rate, weights) in LEARNED.items():
        torch.manual_seed(0)
        learner = MaskLearner(
            objective=MaskObjective(filter="box", **weights),
            schedule=MaskSchedule(inner_lr=rate or 0.1),
        )
        phi = learner.begin(found.strategy, found.dataset)
        batches = [endless(found.dataset, 4, torch.device("cpu")) for _ in range(2)]
        for epoch in range(6 if name != "not learned" else 0):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="a step of CIM's inner problem")
                inner, outer = batches
                learner.steps(found.strategy, inner, outer, count=steps, progress=epoch / 6)
        yield name, *_measured(found, phi)


def _measured(found: Trained, phi: PadeActivations | None) -> tuple[float, float]:
    rule = CamBoxes(activations=phi)
    boxes = all_boxes(found.dataset, rule(found.strategy, found.dataset)).tolist()
    height, width = found.images.shape[-2:]
    area = np.mean([(h1 - h0) * (w1 - w0) for h0, h1, w0, w1 in boxes]) / (height * width)
    pairs = zip(boxes, found.boxes.tolist(), strict=True)
    return float(area), float(np.mean([intersection_over_union(*pair) for pair in pairs]))


def _filled_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Masks ``(N, H, W)`` that are 1 inside the boxes."""
    rows, columns = torch.arange(height), torch.arange(width)
    down = (rows >= boxes[:, :1]) & (rows < boxes[:, 1:2])
    right = (columns >= boxes[:, 2:3]) & (columns < boxes[:, 3:])
    return (down[:, :, None] & right[:, None, :]).float()


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def rows() -> Iterator[dict[str, Any]]:
    """What is measured, row by row."""
    for seed in SEEDS:
        found = trained(seed)
        parts = [("step", 4.0, steps(found)), ("boxes", 4.0, boxes_by_terms(found))]
        parts += [("blur", eta, blurred(found, eta)) for eta in (4.0, 16.0)]
        for of, eta, cases in parts:
            for case, value, other in cases:
                cells = (seed, of, case, f"{eta:g}", f"{value:.6g}", f"{other:.6g}")
                yield dict(zip(FIELDS, cells, strict=True))


def read() -> list[dict[str, str]]:
    """The rows of ``measured.csv``."""
    with CSV.open(newline="") as file:
        return list(csv.DictReader(file))


def written(page: str) -> str:
    """Return the page with its tables."""
    tables = {"inner-steps": _steps, "compressed": _blurred, "mask-terms": _boxes}
    return filled(page, tables, lambda name, _: tables[name]())


def _steps() -> str:
    return _table(["beta_1", "loss before", "loss after"], _values("step"), ".2f", ".2f")


def _blurred() -> str:
    found = _values("blur")
    changes = {}
    for (case, eta), pairs in found.items():
        if (whole := found["the whole image", eta]) is not pairs:
            changes[case, eta] = (pairs - whole) * [1, 100]
    titles = ["keeps its pixels", "eta", "change of loss", "of accuracy in points"]
    return _table(titles, changes, "+.4f", "+.2f")


def _boxes() -> str:
    shown = {case: pairs * 100 for case, pairs in _values("boxes").items()}
    return _table(["phi", "area", "overlap"], shown, ".1f", ".1f")


def _values(of: str) -> dict[Any, Any]:
    """From a case, and its eta if there are several, to two numbers of each seed."""
    lines = [row for row in read() if row["of"] == of]
    several = len({row["eta"] for row in lines}) > 1
    found: dict[Any, list[tuple[float, float]]] = {}
    for row in lines:
        case = (row["case"], row["eta"]) if several else row["case"]
        found.setdefault(case, []).append((float(row["value"]), float(row["other"])))
    return {case: np.array(pairs) for case, pairs in found.items()}


def _table(titles: list[str], cells: dict[Any, Any], *forms: str) -> str:
    lines = [f"| {' | '.join(titles)} |", "|---|" + "---:|" * (len(titles) - 1)]
    for case, pairs in cells.items():
        names = case if isinstance(case, tuple) else (case,)
        means, spreads = pairs.mean(axis=0), pairs.std(axis=0, ddof=1)
        texts = [
            f"{mean:{form}} ± {spread:{form.removeprefix('+')}}".replace("-", "\N{MINUS SIGN}")
            for mean, spread, form in zip(means, spreads, forms, strict=True)
        ]
        lines.append(f"| {' | '.join((*names, *texts))} |")
    seeds = len({row["seed"] for row in read()})
    return "\n".join(lines) + f"\n\nMean and standard deviation of {seeds} networks.\n"


def main() -> None:
    CSV.parent.mkdir(parents=True, exist_ok=True)
    with CSV.open("w", newline="") as file:
        table = csv.DictWriter(file, FIELDS, lineterminator="\n")
        table.writeheader()
        for row in rows():
            table.writerow(row)
            file.flush()
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
