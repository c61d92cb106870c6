"""Reckon what each recipe costs, and write it down: ``python docs/recipe_costs.py``.

Hours go into the recipes, as ``[suite] gpu_hours`` or ``cpu_hours``, and with the steps and the
operations into the page, between ``<!-- costs -->`` and ``<!-- end -->``. Those of a recipe whose
report is published are what its runs took; the others are estimates, and ``recipes.md`` says of
what. No data set is read, and networks are counted on the meta device.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from cl_strategies.benchmarks.streams.papers.overlap import overlapping_classes
from cl_strategies.experiment.config.quantization import quantizes_itself
from cl_strategies.experiment.config.run_config import ExperimentConfig, Named
from cl_strategies.experiment.config.suite import Suite, recipes
from cl_strategies.registry import registry

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "recipes.md"
PUBLISHED = ROOT / "reports" / "published"
MARKS = re.compile(r"(<!-- costs -->\n).*?(<!-- end -->)", re.DOTALL)
PAPERS = ("ALASSO", "HALRP", "CIM", "AlignQ", "LifeQuant")


@dataclass(frozen=True)
class Machine:
    """What a step is assumed to cost.

    :param key: of the suite.
    :param rate: floating-point operations per second that are sustained.
    :param step: seconds of a step of the optimizer, whatever the network.
    :param tensor: seconds more for each tensor of parameters.
    """

    key: str
    rate: float
    step: float
    tensor: float


#: A card of the class of the NVIDIA GeForce RTX 3090 in float32, and one core of a processor.
GPU = Machine("gpu_hours", rate=1e13, step=2e-3, tensor=1e-4)
CPU = Machine("cpu_hours", rate=2e10, step=1e-3, tensor=1e-4)


@dataclass(frozen=True)
class Stream:
    """The size of a stream at its defaults.

    :param shape: of a sample.
    :param n_classes: of all experiences together.
    :param train: training samples of all experiences together; of one, if they are ``repeated``.
    :param test: likewise.
    :param n_experiences: where no option says it.
    :param repeated: whether each experience has all samples anew.
    """

    shape: tuple[int, ...]
    n_classes: int
    train: float
    test: float
    n_experiences: int = 1
    repeated: bool = False


_PHOTO = (3, 224, 224)
_FASHION = Stream((1, 28, 28), 10, 60_000, 10_000)
_DIGITS = Stream((1, 8, 8), 10, 1_437, 360)
_CIFAR100 = Stream((3, 32, 32), 100, 50_000, 10_000)
_OFFICE = {"A": 2_817, "D": 498, "W": 795}  # images; a fifth is for testing
STREAMS = {
    "permuted-mnist": replace(_FASHION, repeated=True),
    "permuted-fashion-mnist": replace(_FASHION, repeated=True),
    "p-mnist": replace(_FASHION, shape=(3, 32, 32), repeated=True),
    "split-fashion-mnist": _FASHION,
    "task-fashion-mnist": _FASHION,
    "overlapping-fashion-mnist": replace(_FASHION, train=96_000, test=16_000),
    "photo-fashion-mnist": replace(_FASHION, shape=(3, 64, 64)),
    "task-cifar10-100": replace(_CIFAR100, n_classes=90, train=90_000, test=18_000),
    "split-cifar10": replace(_CIFAR100, n_classes=10),
    "split-svhn": Stream((3, 32, 32), 10, 73_257, 26_032),
    "cifar100-split": _CIFAR100,
    "cifar100-superclass": _CIFAR100,
    "overlapping-cifar100": replace(_CIFAR100, train=500, test=100),  # of one class
    "five-datasets": Stream((3, 32, 32), 50, 260_100, 57_900),
    "five-datasets-offline": Stream((3, 32, 32), 50, 68_000, 12_000),
    "omniglot-rotation": Stream((1, 32, 32), 1_200, 72_000, 24_000),
    "task-tiny-imagenet": Stream((3, 64, 64), 200, 100_000, 10_000),
    "task-tiny-imagenet-224": Stream(_PHOTO, 180, 90_000, 9_000),
    "food-101": Stream(_PHOTO, 101, 75_750, 25_250),
    "imagenet-100": Stream(_PHOTO, 100, 129_395, 5_000),
    "imagenet-1000": Stream(_PHOTO, 1_000, 1_281_167, 50_000),
    "office-31": Stream(_PHOTO, 31, 0.8, 0.2),  # shares of the images of the domains
    "adaptation-office-31": Stream(_PHOTO, 31, 0.8, 0.2),
    "imageclef": Stream(_PHOTO, 12, 480, 120, repeated=True),
    "split-digits": _DIGITS,
    "task-digits": _DIGITS,
    "permuted-digits": replace(_DIGITS, repeated=True),
    "photo-digits": replace(_DIGITS, shape=(3, 64, 64)),
    "adaptation-digits": replace(_DIGITS, shape=(3, 8, 8)),
    "digit-domains": replace(_DIGITS, shape=(3, 16, 16), repeated=True),
}
#: Bytes of a raw exemplar of average height and width (CIM's paper, Table S1).
RAW_BYTES = {"food-101": 706_823, "imagenet-100": 576_335, "imagenet-1000": 577_355}

#: How many times as long a tensor takes that is quantized: its quantizer has operations of its own.
QUANTIZED = 4
_OLD_NETWORK = 4 / 3  # the old network computes, too, without a backward pass
#: Passes over the data in units of naive fine-tuning; methods that do not stand here have one.
PASSES: dict[str, float | Callable[[ExperimentConfig, int], float]] = {
    **dict.fromkeys(("lwf", "pfr", "icarl", "wa", "lucir", "bic", "podnet"), _OLD_NETWORK),
    **dict.fromkeys(("dann", "dsan"), 2.0),  # the target beside the source
    **dict.fromkeys(("replay", "agem", "dark-er", "compressed-replay"), 2.0),  # two batches
    "vcl": 2.0,  # as many epochs of a plain network before
    "prd": 2.0,  # two views of an image
    "bmkp": 2.0,  # patterns and representations
    "aanets": 2 * _OLD_NETWORK,  # two branches
    "mnemonics": 2.0,  # exemplars are optimized, too
    "mrdc": 2.0,  # a quality is tried for each class
    "der-expandable": lambda config, tasks: 1 + (tasks - 1) / 6,  # old backbones, growing in number
    "foster": lambda config, tasks: _foster(config.strategy.options, config.train.epochs),
    "cumulative": lambda config, tasks: (tasks + 1) / 2,  # all data so far
}
#: Trained at full precision, whatever the bit-width.
DATA_FREE = ("zeroq", "zaq", "qimera", "intraq")
#: What masks cost beside the training of the host (CIM's supplement, section 7), and how many more
#: exemplars fit into the same bytes (Table 5).
MASKS, COMPRESSED = 1.6, 1.8


def _foster(options: Any, epochs: int) -> float:
    compression = (options.get("compress_epochs") or epochs) / epochs
    return _OLD_NETWORK + compression * (1 + 2 / 3)  # two teachers without a backward pass


def passes(config: ExperimentConfig, tasks: int) -> float:
    """Passes of one epoch over one experience, host and masks included."""
    options = config.strategy.options
    if "host" in options:
        name, _, settings = str(options["host"]).partition(":")
        entry = registry("strategies")[name]
        own = replace(config, strategy=Named(name, entry.parse_options(settings)))
        masks = MASKS if options.get("masks") in ("joint", "bilevel") else 1.0
        return masks * passes(own, tasks)
    found = PASSES.get(config.strategy.name, 1.0)
    return found if isinstance(found, float) else found(config, tasks)


def sizes(benchmark: Named) -> Stream:
    """The stream as ``benchmark`` has it: all of its samples, whatever is repeated."""
    stream, options = STREAMS[benchmark.name], dict(benchmark.options)
    tasks = int(options.get("n_experiences") or stream.n_experiences)
    if options.get("protocol") == "half":
        tasks += 1
    train, test = stream.train, stream.test
    if benchmark.name == "overlapping-cifar100":
        windows = overlapping_classes(range(100), n_experiences=tasks, gamma=options["gamma"])
        train, test = (count * sum(map(len, windows)) for count in (train, test))
    elif "domains" in options:
        domains = str(options["domains"]).split("-")
        tasks = len(domains)
        if benchmark.name == "office-31":
            images = sum(_OFFICE[name] for name in domains)
            train, test = train * images, test * images
    elif "source" in options and benchmark.name == "adaptation-office-31":
        tasks, train = 1, train * _OFFICE[str(options["source"])]
        test *= sum(_OFFICE[str(options[name])] for name in ("source", "targets"))
    if stream.repeated:
        train, test = train * tasks, test * tasks
    train *= float(options.get("fraction", 1.0))
    test *= float(options.get("test_fraction", 1.0))
    shape = stream.shape
    if size := options.get("image_size"):
        shape = (shape[0], size, size)
    return replace(stream, shape=shape, train=train, test=test, n_experiences=tasks)


@cache
def operations(name: str, options: str, shape: tuple[int, ...], n_classes: int) -> tuple[int, ...]:
    """Operations of one sample forward, and forward and backward; tensors of parameters.

    Of a batch of two, because of normalizations, and without weights that would be fetched.
    """
    with torch.device("meta"):
        model = registry("models")[name].load()(
            input_shape=shape, n_classes=n_classes, scenario="domain", **json.loads(options)
        )
        sample = torch.zeros(2, *shape)
    with FlopCounterMode(display=False) as counter:
        output = model(sample)
        forward = counter.get_total_flops()
        output.sum().backward()
    tensors = len(list(model.parameters()))
    return forward // 2, counter.get_total_flops() // 2, tensors


@dataclass(frozen=True)
class Cost:
    """Of one run.

    :param steps: of the optimizer.
    :param flops: operations of one of them.
    :param seconds: of the run.
    """

    steps: float
    flops: float
    seconds: float


def replayed(config: ExperimentConfig, stream: Stream) -> float:
    """Exemplars that an experience has beside its own samples, on average."""
    options, name = config.strategy.options, config.benchmark.name
    if name in RAW_BYTES and "mem_bytes" in options:
        images = options["mem_bytes"] / RAW_BYTES[name]
        images *= COMPRESSED if config.strategy.name == "cim" else 1.0
        return images * (stream.n_classes / 2 if options.get("growing") else 1.0)
    if "replay_ratio" in options:
        share = options["replay_ratio"] * (stream.n_experiences - 1) / 2
        return float(share * stream.train / stream.n_experiences)
    return 0.0


def wider(config: ExperimentConfig) -> int:
    """How often the first experience is trained before, at wider bit-widths."""
    own = config.strategy.options
    if config.quantization is not None:
        own = config.quantization.to_table()
    elif not quantizes_itself(config.strategy.name) or config.strategy.name in DATA_FREE:
        return 0
    width = min(own["weight_bits"], own["activation_bits"])
    return sum(bits > width for bits in config.train.bits_before)


def cost(config: ExperimentConfig, machine: Machine) -> Cost:
    """What one run is expected to cost: its steps, and the evaluation of all experiences so far."""
    stream, train = sizes(config.benchmark), config.train
    tasks = stream.n_experiences
    known = {key: v for key, v in config.model.options.items() if key != "weights"}
    forward, both, tensors = operations(
        config.model.name, json.dumps(known, sort_keys=True), stream.shape, stream.n_classes
    )
    samples = train.epochs * (stream.train + (tasks - 1) * replayed(config, stream))
    half = config.benchmark.options.get("protocol") == "half"
    first = stream.train * (0.5 if half else 1 / tasks)
    epochs = train.first_epochs or train.epochs
    samples += (epochs - train.epochs + epochs * wider(config)) * first
    steps = samples / train.batch_size
    flops = both * train.batch_size * passes(config, tasks)
    quantized = config.quantization is not None or quantizes_itself(config.strategy.name)
    overhead = machine.step + machine.tensor * tensors * (QUANTIZED if quantized else 1)
    overhead *= passes(config, tasks)
    evaluated = stream.test * (tasks + 1) / 2 / config.run.evaluate_every
    seconds = steps * (overhead + flops / machine.rate) + evaluated * forward / machine.rate
    return Cost(steps, flops, seconds)


@dataclass(frozen=True)
class Total:
    """Of all runs of a recipe; hours have two digits.

    :param measured: whether the hours are those of its published runs.
    """

    machine: Machine
    runs: int
    steps: float
    flops: float
    hours: float
    measured: bool = False


def total(suite: Suite) -> Total:
    """What all runs of ``suite`` are expected to cost."""
    machine = GPU if suite.title.split(",")[0] in PAPERS else CPU
    repetitions = len(suite.seeds) * max(1, len(suite.orders))
    one = replace(suite, seeds=suite.seeds[:1], orders=suite.orders[:1])
    costs = [cost(config, machine) for config in one.configs()]
    steps = sum(found.steps for found in costs)
    hours = repetitions * sum(found.seconds for found in costs) / 3600
    return Total(
        machine=machine,
        runs=repetitions * len(costs),
        steps=repetitions * steps,
        flops=sum(found.steps * found.flops for found in costs) / steps,
        hours=_two_digits(hours),
    )


def _two_digits(hours: float) -> float:
    return round(hours, 1 - math.floor(math.log10(hours)))


def known(name: str) -> Total:
    """What the runs of a recipe took, if their report is published; else what they should."""
    expected, origin = total(Suite.from_toml(name)), PUBLISHED / name / "origin.json"
    made = json.loads(origin.read_text("utf-8")) if origin.exists() else {}
    if made.get("runs") != expected.runs:
        return expected
    return replace(expected, hours=_two_digits(made["processor_hours"]), measured=True)


@cache
def totals() -> dict[str, Total]:
    """The costs of every recipe, by its name."""
    return {name: known(name) for name in sorted(recipes())}


def rows() -> Iterator[str]:
    """The lines of the table."""
    yield "| recipe | runs | steps, millions | GFLOP of a step | hours |"
    yield "|---|---|---|---|---|"
    for name, found in totals().items():
        kind = "GPU" if found.machine is GPU else "core"
        kind += ", measured" if found.measured else ""
        yield (
            f"| `{name}` | {found.runs:,} | {found.steps / 1e6:.3g} | {found.flops / 1e9:.3g} | "
            f"{found.hours:,g} ({kind}) |"
        )


def filled(text: str) -> str:
    """``text`` with the present table between its marks."""
    return MARKS.sub(lambda match: match[1] + "\n".join(rows()) + "\n" + match[2], text)


def with_hours(text: str, found: Total) -> str:
    """The text of a recipe with its hours, after its title."""
    text = re.sub(r"^[gc]pu_hours = .*\n", "", text, flags=re.MULTILINE)
    how = "measured: " if found.measured else ""
    line = f"{found.machine.key} = {found.hours:g}  # {how}python docs/recipe_costs.py\n"
    return re.sub(r"^(title = .*\n)", lambda title: title[1] + line, text, flags=re.MULTILINE)


if __name__ == "__main__":
    for recipe, path in recipes().items():
        path.write_text(with_hours(path.read_text(), totals()[recipe]))
    PAGE.write_text(filled(PAGE.read_text()))
