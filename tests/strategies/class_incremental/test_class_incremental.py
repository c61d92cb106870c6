"""Class-incremental methods on exemplars: what each does to its network and memory."""

import copy

import numpy as np
import pytest
import torch
from avalanche.training.plugins import LRSchedulerPlugin, SupervisedPlugin
from torch import nn

from cl_strategies.benchmarks import load
from cl_strategies.errors import UserError
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.backbones.small_resnet import small_resnet
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.features.extraction import extract_features
from cl_strategies.registry import registry
from cl_strategies.strategies.aanets import AANets
from cl_strategies.strategies.bic import BiC
from cl_strategies.strategies.der_expandable import ExpandableRepresentation
from cl_strategies.strategies.foster import FOSTER
from cl_strategies.strategies.icarl import ICaRL
from cl_strategies.strategies.lucir import LUCIR
from cl_strategies.strategies.mnemonics import Mnemonics
from cl_strategies.strategies.mrdc import MRDC
from cl_strategies.strategies.naive import Naive
from cl_strategies.strategies.podnet import PODNet
from cl_strategies.strategies.templates.hosts import make_host
from cl_strategies.strategies.wa import WA

BYTES = 87  # of a raw digit with header and label

#: Each method with what 3 short experiences on 8x8 digits need.
METHODS = {
    "icarl": {},
    "lucir": {},
    "wa": {"align": False},
    "bic": {},
    "podnet": {},
    "der-expandable": {},
    "foster": {},
    "aanets": {},
    "mnemonics": {},
    "mrdc": {"qualities": (75,), "tolerance": 1e9},
}


def stream(seed=None, **options):
    options = {"n_experiences": 3, "fraction": 0.3, "class_order": seed, **options}
    return load("split-digits", **options)


def make(kind, benchmark, *, seed=0, epochs=6, lr=0.1, plugins=(), hidden=(48,), **options):
    torch.manual_seed(seed)
    info = benchmark.info
    model = mlp(input_shape=info.input_shape, n_classes=10, scenario="class", hidden=hidden)
    if kind is not Naive:
        options = {"mem_bytes": 40 * BYTES, **options}
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[*plugins, ResidentDataPlugin()],
        evaluator=None,
        **options,
    )


def train(strategy, benchmark, experiences=None):
    for experience in benchmark.train_stream[:experiences]:
        strategy.train(experience)
    return strategy


@torch.no_grad()
def accuracy(strategy, benchmark):
    x, y = samples(benchmark.test_stream)
    return float((strategy.model.eval()(x).argmax(1) == y).float().mean())


def samples(experiences):
    parts = [e.dataset.eval() for e in experiences]
    x = torch.stack([part[i][0] for part in parts for i in range(len(part))])
    return x, torch.tensor([label for part in parts for label in part.targets])


@pytest.fixture(scope="module")
def forgetful():
    """Accuracies of plain fine-tuning, by seed."""
    found = []
    for seed in range(3):
        benchmark = stream(seed)
        found.append(accuracy(train(make(Naive, benchmark, seed=seed), benchmark), benchmark))
    return found


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("icarl", "foster") else pytest.mark.slow)
        for name in METHODS
    ],
)
def test_a_method_remembers_what_fine_tuning_forgets(name, forgetful):
    kind, gains = registry("strategies")[name].load(), []
    for seed, base in enumerate(forgetful):
        benchmark = stream(seed)
        strategy = train(make(kind, benchmark, seed=seed, **METHODS[name]), benchmark)
        assert strategy.memory.memory.bytes_used <= 40 * BYTES
        gains.append(accuracy(strategy, benchmark) - base)
    assert np.mean(gains) > 0.25 and min(gains) > 0.1


class Watch(SupervisedPlugin):
    """Notes what is trained in each experience."""

    def __init__(self):
        super().__init__()
        self.trained, self.rates, self.sizes = [], [], []

    def before_training_epoch(self, strategy, **kwargs):
        names = {id(p): name for name, p in strategy.model.named_parameters()}
        (group,) = strategy.optimizer.param_groups
        self.trained.append({names[id(p)] for p in group["params"]})
        self.rates.append(group["lr"])
        self.sizes.append(len(strategy.adapted_dataset))


def test_the_optimizer_holds_what_a_phase_trains():
    benchmark, watch = stream(), Watch()
    strategy = make(LUCIR, benchmark, epochs=1, plugins=[watch])
    train(strategy, benchmark)
    first, second, third = watch.trained
    assert "classifier.old" not in first | second | third
    assert {"classifier.new", "classifier.scale"} <= first & second & third
    known = {id(p) for p in strategy.model.parameters()}
    assert all(id(p) in known for p in strategy.optimizer.param_groups[0]["params"])


def test_a_schedule_of_the_learning_rate_begins_anew_in_each_phase():
    benchmark, watch = stream(), Watch()
    strategy = make(WA, benchmark, epochs=2, plugins=[watch])
    schedule = torch.optim.lr_scheduler.StepLR(strategy.optimizer, step_size=1, gamma=0.1)
    strategy.plugins.append(LRSchedulerPlugin(schedule))
    train(strategy, benchmark)
    assert watch.rates == pytest.approx([0.1, 0.01] * 3)


def test_what_is_trained_after_a_phase_begins_with_the_first_learning_rate():
    benchmark = stream()
    strategy = make(FOSTER, benchmark, epochs=3, compress_epochs=12)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(strategy.optimizer, T_max=3)
    strategy.plugins.append(LRSchedulerPlugin(schedule))
    train(strategy, benchmark, experiences=1)
    compressed = []
    compress = strategy.learner.compress

    def watched(strategy):
        before = strategy.model.fresh_student(2).backbone.state_dict()
        student = compress(strategy)
        after = student.backbone.state_dict()
        compressed.append(max(float((after[key] - before[key]).abs().max()) for key in before))
        return student

    strategy.learner.compress = watched
    strategy.train(benchmark.train_stream[1])
    assert compressed[0] > 1e-3


def test_exemplars_are_joined_to_the_data_and_are_of_every_class():
    benchmark, watch = stream(), Watch()
    strategy = train(make(ICaRL, benchmark, epochs=1, plugins=[watch]), benchmark)
    sizes = [len(e.dataset) for e in benchmark.train_stream]
    assert watch.sizes == [sizes[0], sizes[1] + 40, sizes[2] + 40]
    assert set(strategy.memory.memory.counts().values()) == {4}


# ---------------------------------------------------------------------- one by one


def test_icarl_classifies_by_the_nearest_mean_of_its_exemplars():
    benchmark = stream(5)
    strategy = train(make(ICaRL, benchmark), benchmark)
    memory, model = strategy.memory.memory, strategy.model.eval()
    x, _ = samples(benchmark.test_stream)
    with torch.no_grad():
        unit = nn.functional.normalize(model.outputs(x).features, dim=1)
        stored = nn.functional.normalize(extract_features(strategy, memory.buffer), dim=1)
        labels = torch.tensor([record.label for record in memory.records])
        means = torch.stack([stored[labels == c].mean(0) for c in range(10)])
        nearest = torch.cdist(unit, nn.functional.normalize(means, dim=1)).argmin(1)
        assert torch.equal(model(x).argmax(1), nearest)
        linear = model.arrival.by_class(model.outputs(x).logits).argmax(1)
        assert (linear != nearest).any()
    other = train(make(ICaRL, benchmark, nearest_mean=False), benchmark)
    x = x[:20]
    assert torch.equal(
        other.model.eval()(x), other.model.arrival.by_class(other.model.outputs(x).logits)
    )


def test_distillation_pulls_towards_the_old_network():
    benchmark, gaps = stream(), []
    for weight in (0.0, 5.0):
        strategy = make(ICaRL, benchmark, lr=0.03, distillation_weight=weight)
        train(strategy, benchmark, 1)
        old = copy.deepcopy(strategy.model).eval()
        strategy.train(benchmark.train_stream[1])
        x, _ = samples(benchmark.train_stream[1:2])
        with torch.no_grad():
            before = old.outputs(x).logits.softmax(1)
            after = strategy.model.eval().outputs(x).logits[:, : before.shape[1]].softmax(1)
        gaps.append(float((before - after).abs().mean()))
    assert gaps[1] < 0.7 * gaps[0]


def test_wa_gives_new_rows_the_norm_of_the_old():
    benchmark = stream()
    classifier = train(make(WA, benchmark), benchmark).model.classifier
    norms = [rows.norm(dim=1).mean() for rows in (classifier.old, classifier.new)]
    assert float(norms[0]) == pytest.approx(float(norms[1]), rel=1e-5)
    classifier = train(make(WA, benchmark, align=False), benchmark).model.classifier
    norms = [rows.norm(dim=1).mean() for rows in (classifier.old, classifier.new)]
    assert float(norms[0]) != pytest.approx(float(norms[1]), rel=1e-2)


def test_lucir_freezes_old_rows_and_starts_new_ones_from_means():
    benchmark = stream()
    strategy = train(make(LUCIR, benchmark), benchmark, 1)
    rows = strategy.model.classifier.weight.detach().clone()

    class Start(SupervisedPlugin):
        def before_training_epoch(self, strategy, **kwargs):
            if not hasattr(self, "new"):
                self.new = strategy.model.classifier.new.detach().clone()

    start = Start()
    strategy.plugins.append(start)
    x, y = samples(benchmark.train_stream[1:2])
    with torch.no_grad():
        features = nn.functional.normalize(strategy.model.eval().outputs(x).features, dim=1)
    strategy.train(benchmark.train_stream[1])
    assert torch.equal(strategy.model.classifier.old, rows)
    for row, label in zip(start.new, strategy.model.order[len(rows) :], strict=True):
        mean = features[y == label].mean(0)
        assert float(torch.cosine_similarity(row, mean, dim=0)) == pytest.approx(1, abs=1e-4)
        assert float(row.norm()) == pytest.approx(float(rows.norm(dim=1).mean()), rel=1e-4)
    balanced = train(make(LUCIR, benchmark, balance_epochs=2), benchmark, 2)
    assert not torch.equal(balanced.model.classifier.old, rows)
    assert not balanced.model.classifier.old.requires_grad


def test_bic_holds_out_a_balanced_part_and_corrects_new_classes_alone():
    benchmark, watch = stream(), Watch()
    strategy = make(BiC, benchmark, held_out=0.3, plugins=[watch], mem_bytes=60 * BYTES)
    train(strategy, benchmark)
    sizes = [len(e.dataset) for e in benchmark.train_stream]
    first = len(benchmark.train_stream[0].classes_in_this_experience)
    second = len(benchmark.train_stream[1].classes_in_this_experience)
    assert watch.sizes[0] == sizes[0]
    held = round(0.3 * (60 // first))
    assert watch.sizes[6] == sizes[1] + 60 - held * (first + second)
    corrections = strategy.model.corrections
    assert (corrections[:first] == torch.tensor([1.0, 0.0])).all()
    for experience in (slice(first, first + second), slice(first + second, None)):
        assert len(corrections[experience].unique(dim=0)) == 1
        assert (corrections[experience][0] != torch.tensor([1.0, 0.0])).all()


def test_bic_with_one_exemplar_per_class_corrects_nothing():
    benchmark = stream()
    strategy = train(make(BiC, benchmark, mem_bytes=4 * BYTES), benchmark)
    assert (strategy.model.corrections == torch.tensor([1.0, 0.0])).all()


def test_expanding_adds_a_backbone_per_phase_and_keeps_the_old_features():
    benchmark = stream()
    strategy = train(make(ExpandableRepresentation, benchmark), benchmark, 2)
    old = [copy.deepcopy(b.state_dict()) for b in strategy.model.backbone]
    strategy.train(benchmark.train_stream[2])
    model = strategy.model
    assert len(model.backbone) == 3 and model.auxiliary is None
    for kept, now in zip(old, model.backbone, strict=False):
        assert all(torch.equal(kept[key], value) for key, value in now.state_dict().items())
    assert model.classifier.weight.shape == (10, 3 * 48)


@pytest.mark.parametrize("rectify", ["align", "finetune", "none"])
def test_each_rectification_of_expanding_trains(rectify):
    benchmark = stream()
    options = {"rectify": rectify, "finetune_epochs": 3}
    strategy = train(make(ExpandableRepresentation, benchmark, **options), benchmark)
    assert accuracy(strategy, benchmark) > 0.5
    norms = [w.norm(dim=1).mean() for w in strategy.model.classifier.weight.split([7, 3])]
    assert (abs(float(norms[0] / norms[1]) - 1) < 1e-4) == (rectify == "align")


def test_foster_is_compressed_to_one_backbone_that_follows_both():
    benchmark = stream()
    strategy = train(make(FOSTER, benchmark, compress_epochs=12), benchmark)
    model = strategy.model.eval()
    assert model.before is None and model.auxiliary is None and len(model.backbone) == 2
    x, _ = samples(benchmark.test_stream)
    with torch.no_grad():
        teacher = model.outputs(x).logits.argmax(1)
        student = model.student.outputs(x).logits.argmax(1)
    assert float((teacher == student).float().mean()) > 0.5  # a tenth, if it followed neither
    small = train(make(FOSTER, benchmark, compress_epochs=12, evaluate="student"), benchmark)
    with torch.no_grad():
        direct = small.model.eval().student.outputs(x).logits
        assert torch.equal(small.model(x)[:, small.model.order], direct)


def test_aanets_learns_its_mixture_apart():
    benchmark = stream()
    mixtures = []
    for options in ({"mixture_lr": 0.0}, {}, {"mixture_lr": 0.1}):
        strategy = train(make(AANets, benchmark, **options), benchmark, 2)
        mixtures.append(strategy.model.backbone.mixture)
        assert not mixtures[-1].requires_grad
    still, default, fast = mixtures
    assert torch.equal(still, torch.full_like(still, 0.5))
    assert (default - 0.5).abs().max() > 1e-3 and not torch.equal(default, fast)


def test_mnemonics_trains_the_pixels_of_new_exemplars_within_the_budget():
    benchmark = stream()
    plain = train(make(Mnemonics, benchmark, pixel_epochs=0), benchmark, 2)
    moved = train(make(Mnemonics, benchmark), benchmark, 1)
    before = {record.payload for record in moved.memory.memory.records}
    moved.train(benchmark.train_stream[1])
    memory = moved.memory.memory
    assert memory.bytes_used <= 40 * BYTES and memory.counts() == plain.memory.memory.counts()
    untrained = {record.payload for record in plain.memory.memory.records}
    fresh = set(benchmark.train_stream[1].classes_in_this_experience)
    for record in memory.records:
        if record.label in fresh:
            assert record.payload not in untrained
        else:  # old ones stay as they were
            assert record.payload in before


def test_trained_pixels_are_stored_though_they_take_more_bytes():
    benchmark = stream()
    plain, moved = (
        train(make(Mnemonics, benchmark, codec="png", pixel_epochs=epochs), benchmark, 1)
        for epochs in (0, 1)
    )
    memories = [strategy.memory.memory for strategy in (plain, moved)]
    each = [memory.report()["bytes_per_exemplar"] for memory in memories]
    assert each[1] > each[0]  # noise does not compress
    assert not {r.payload for r in memories[0].records} & {r.payload for r in memories[1].records}
    assert memories[1].bytes_used <= 40 * BYTES
    assert len(memories[1].records) < len(memories[0].records)


def test_mrdc_stores_jpeg_of_the_chosen_quality_for_any_host():
    benchmark = stream()
    for host in ("replay", "foster:compress_epochs=1"):
        options = {"host": host, "qualities": (30, 60), "tolerance": 1e9}
        strategy = train(make(MRDC, benchmark, epochs=2, **options), benchmark)
        assert strategy.memory.quality == 30
        assert strategy.memory.memory.codec.name == "jpeg"


# ---------------------------------------------------------------------- codecs and refusals


@pytest.mark.parametrize("codec", ["jpeg:quality=40", "two-resolution", "quantized:bits=2"])
def test_any_codec_serves_any_method(codec):
    benchmark = load("photo-digits", n_experiences=5, fraction=0.05, image_size=32)
    torch.manual_seed(0)
    model = small_resnet(input_shape=(3, 32, 32), n_classes=10, scenario="class", channels=(4, 8))
    strategy = PODNet(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=16,
        train_epochs=1,
        evaluator=None,
        mem_bytes=20_000,
        codec=codec,
        boxes="center",
        balance_epochs=1,
    )
    train(strategy, benchmark, 2)
    assert strategy.memory.memory.codec.name == codec.partition(":")[0]
    assert strategy.memory.memory.bytes_used <= 20_000
    assert strategy.model.stages == ("stage1", "stage2")


def test_an_experience_without_new_classes_is_refused():
    benchmark = stream()
    strategy = train(make(ICaRL, benchmark, epochs=1), benchmark, 1)
    with pytest.raises(UserError, match="has no new class"):
        strategy.train(benchmark.train_stream[0])


def test_several_groups_of_parameters_are_refused():
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="class")
    groups = [{"params": [p]} for p in model.parameters()]
    with pytest.raises(UserError, match="groups of parameters"):
        WA(model=model, optimizer=torch.optim.SGD(groups, lr=0.1), train_mb_size=8)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("icarl", {"temperature": 0.0}, "temperature is 0.0"),
        ("lucir", {"nearest": 0}, "nearest is 0"),
        ("bic", {"held_out": 1.0}, "held_out is 1.0"),
        ("podnet", {"proxies": 0}, "proxies is 0"),
        ("der-expandable", {"rectify": "prune"}, "align, finetune, none"),
        ("foster", {"beta": 1.0}, "beta is 1.0"),
        ("foster", {"evaluate": "both"}, "known: student, teacher"),
        ("aanets", {"mixture_lr": -1.0}, "mixture_lr is -1.0"),
        ("mnemonics", {"pixel_lr": 0.0}, "pixel_lr is 0.0"),
        ("mrdc", {"host": "podnet"}, "unknown host 'podnet'"),
        ("mrdc", {"host": "foster:beta=high"}, "beta is 'high'"),
        ("mrdc", {"host": "lucir:lr=1"}, "unknown option of lucir 'lr'"),
        ("wa", {"codec": "gif"}, "unknown codec 'gif'"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        make(registry("strategies")[name].load(), stream(), **options)


@pytest.mark.parametrize(
    "host", ["icarl:temperature=0", "wa:temperature=-1", "lucir:nearest=0", "foster:align=-0.5"]
)
def test_options_of_a_host_are_refused_as_those_of_the_method_are(host):
    with pytest.raises(UserError, match="give"):
        make_host(host)
