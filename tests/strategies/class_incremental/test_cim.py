"""CIM as a strategy: what it trains, stores and leaves alone, and each ablation of Table 3."""

import copy

import numpy as np
import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from torch import nn

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.samples import TensorSamples
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.exemplar_images import exemplar_numbers
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.experiment.sweep.preflight import check_configs
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.masking.boxes import CamBoxes
from cl_strategies.plugins.masking.compression_artifacts import ArtifactSchedule
from cl_strategies.plugins.masking.functional import downsample_background
from cl_strategies.plugins.masking.metrics import mask_metrics
from cl_strategies.plugins.masking.pade import PadeActivations
from cl_strategies.plugins.masking.plugin import MASKS
from cl_strategies.registry import registry
from cl_strategies.strategies.cim import CIM
from cl_strategies.strategies.compressed_replay import CompressedReplay
from cl_strategies.strategies.templates.base import Strategy

SIDE = 16


class Squares(TensorSamples):
    """Images with squares, which know where these are."""

    def __init__(self, x, y, places):
        super().__init__(x, y.numpy())
        self.places = places

    def true_boxes(self, rows):
        corners = self.places[rows].tolist()
        return [(top, top + 6, left, left + 6) for top, left in corners]


def stream(n=36, seed=0, tasks=2, known=True):
    """Tasks of two classes: a square of the class's color somewhere on dark noise."""
    generator = torch.Generator().manual_seed(seed)
    colors = torch.tensor(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=torch.float32
    )

    def samples(task):
        y = torch.arange(n) % 2 + 2 * task
        x = torch.rand(n, 3, SIDE, SIDE, generator=generator) * 0.2
        places = torch.randint(0, SIDE - 6, (n, 2), generator=generator)
        for i, (top, left) in enumerate(places.tolist()):
            x[i, :, top : top + 6, left : left + 6] += 0.7 * colors[y[i]][:, None, None]
        return Squares(x, y, places) if known else (x, y)

    sides = [[samples(task) for task in range(tasks)] for _ in range(2)]
    return build_benchmark(*sides, name="squares", scenario="class")


def network(classes=6):
    body = [nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


def make(kind=CIM, *, epochs=5, plugins=(), seed=0, **options):
    torch.manual_seed(seed)
    model = network()
    if kind is CIM:
        options = {"artifact_interval": 2, "mem_bytes": 8_000, **options}
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=12,
        train_epochs=epochs,
        plugins=list(plugins),
        **options,
    )


def train(strategy, benchmark):
    for experience in benchmark.train_stream:
        strategy.train(experience)
    return strategy


@torch.no_grad()
def accuracy(strategy, benchmark):
    strategy.model.eval()
    x = torch.stack([e.dataset[i][0] for e in benchmark.test_stream for i in range(len(e.dataset))])
    y = torch.tensor([label for e in benchmark.test_stream for label in e.dataset.targets])
    return float((strategy.model(x).argmax(1) == y).float().mean())


@pytest.mark.parametrize("masks", MASKS)
def test_every_ablation_trains_and_keeps_to_its_budget(masks):
    strategy = train(make(masks=masks), stream())
    memory = strategy.masking.memory
    assert memory.bytes_used <= 8_000 and set(memory.counts()) == {0, 1, 2, 3}
    assert memory.codec.name == ("raw" if masks == "none" else "two-resolution")
    per_exemplar = memory.report()["compression_rate"]
    assert (per_exemplar > 1) if masks == "none" else (per_exemplar < 0.95)
    phi = strategy.masking.learner.activations
    assert (phi is not None) == (masks in ("joint", "bilevel"))


def test_boxes_are_of_the_right_kind():
    for masks, area in (("empty", 0), ("center", 0.25), ("random", 0.25)):
        strategy = train(make(masks=masks, epochs=1), stream())
        codec = strategy.masking.codec
        boxes = [codec.box(record.payload) for record in strategy.masking.memory.records]
        areas = {(b[1] - b[0]) * (b[3] - b[2]) / SIDE**2 for b in boxes}
        assert areas == {area}
        assert (len(set(boxes)) > 1) == (masks == "random")


class Watch(SupervisedPlugin):
    """Notes the images that are trained on, by epoch, and where phi lives."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def before_training_epoch(self, strategy, **kwargs):
        self.epochs.append([])

    def before_forward(self, strategy, **kwargs):
        self.epochs[-1] += list(zip(strategy.mb_x.clone(), strategy.mb_y.tolist(), strict=True))
        phi = strategy.masking.learner.activations
        if phi is not None:
            optimized = {
                id(p) for group in strategy.optimizer.param_groups for p in group["params"]
            }
            assert not optimized & {id(p) for p in phi.parameters()}
            assert not {id(p) for p in strategy.model.parameters()} & {
                id(p) for p in phi.parameters()
            }


def test_old_images_are_always_compressed_and_new_ones_by_schedule():
    watch, benchmark = Watch(), stream()
    strategy = make(epochs=7, artifact_interval=2, artifact_increment=0.5, plugins=[watch])
    strategy.train(benchmark.train_stream[0])
    stored = {sample(x) for x, *_ in strategy.masking.memory.buffer}
    watch.epochs.clear()
    experience = benchmark.train_stream[1]
    strategy.train(experience)
    original = {sample(experience.dataset[i][0]) for i in range(len(experience.dataset))}
    for epoch, seen in enumerate(watch.epochs):
        old = [sample(x) for x, y in seen if y < 2]
        new = [sample(x) for x, y in seen if y >= 2]
        assert set(old) == stored and len(new) == 36
        changed = sum(one not in original for one in new) / 36
        share = [0, 0, 0.5, 0.5, 1, 1, 1][epoch]  # no refresh is due in the last epoch
        # A box may be the whole image, which then is as it was.
        assert share / 4 <= changed <= share + 0.25 and (changed > 0) == (share > 0)


def sample(x):
    """Eight bits per value, hashable."""
    return (x * 255).round().byte().numpy().tobytes()


def test_what_is_stored_is_equation_3_with_the_box_of_the_masks():
    benchmark = stream(tasks=1)
    strategy = train(make(artifact_increment=0.0), benchmark)
    masking = strategy.masking
    dataset = benchmark.train_stream[0].dataset
    rule = CamBoxes(threshold=0.6, activations=masking.learner.activations)
    box_of = rule(strategy, dataset)
    images = [(dataset[i][0] * 255).round().byte().permute(1, 2, 0) for i in range(len(dataset))]
    boxes = [box_of(i, (SIDE, SIDE)) for i in range(len(dataset))]
    expected = {
        downsample_background(image, box).numpy().tobytes(): box
        for image, box in zip(images, boxes, strict=True)
    }
    found = {}
    for record in masking.memory.records:
        decoded = masking.codec.decode(record.payload).tobytes()
        found[decoded] = masking.codec.box(record.payload)
    assert found and found.items() <= expected.items()


def test_the_masks_of_cim_are_not_those_of_the_network():
    benchmark = stream(tasks=1)
    boxes = []
    for masks in ("cam", "bilevel"):
        strategy = train(make(masks=masks, mask_lr=0.05, artifact_increment=0.0), benchmark)
        boxes.append(
            sorted(strategy.masking.codec.box(r.payload) for r in strategy.masking.memory.records)
        )
    assert boxes[0] != boxes[1]


def test_artefacts_can_be_shown_without_compressing_the_memory():
    watch = Watch()
    strategy = train(make(masks="none", plugins=[watch]), stream(tasks=1))
    original = {sample(x) for x, _ in watch.epochs[0]}
    assert any(sample(x) not in original for x, _ in watch.epochs[2])
    assert {sample(x) for x, *_ in strategy.masking.memory.buffer} <= original


def test_a_tenth_is_held_out_where_the_threshold_is_chosen():
    watch = Watch()
    strategy = train(make(masks="cam-threshold", epochs=2, plugins=[watch]), stream(n=40, tasks=1))
    assert [len(seen) for seen in watch.epochs] == [36, 36]
    assert strategy.masking.rule.threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def test_cim_remembers_what_fine_tuning_forgets():
    gains = []
    for seed in range(2):
        benchmark, options = stream(seed=seed), {"seed": seed, "epochs": 8}
        forgetful = train(make(Strategy, **options), benchmark)
        strategy = train(make(mem_bytes=20_000, artifact_interval=3, **options), benchmark)
        gains.append(accuracy(strategy, benchmark) - accuracy(forgetful, benchmark))
    assert np.mean(gains) > 0.15 and min(gains) > 0


def test_an_interrupted_run_goes_on_bit_for_bit():
    benchmark = stream(tasks=3)
    whole, resumed = (make(plugins=[ResidentDataPlugin()]) for _ in range(2))
    for experience in benchmark.train_stream[:2]:
        whole.train(experience)
    state = copy.deepcopy(capture_state(whole))
    restore_state(resumed, state, experiences_seen=list(benchmark.train_stream[:2]))
    for strategy in (whole, resumed):
        torch.manual_seed(5)
        strategy.train(benchmark.train_stream[2])
    assert whole.masking.memory.records == resumed.masking.memory.records
    for part in (lambda s: s.model, lambda s: s.masking.learner.activations):
        pairs = zip(part(whole).parameters(), part(resumed).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_the_callers_plugins_are_left_alone():
    plugins = [ResidentDataPlugin()]
    make(plugins=plugins)
    assert len(plugins) == 1


def test_the_released_behaviors_are_one_switch():
    strategy = make(released=True)
    schedule, objective = strategy.masking.learner.schedule, strategy.masking.learner.objective
    assert (schedule.outer, schedule.start, schedule.inner_lr) == ("all", "first", 0.01)
    assert objective.nearest == "floor" and "*shortcut*" in objective.fixed
    train(strategy, stream())


def test_older_names_are_understood_and_runs_keep_their_identity():
    older = make(masks="centre", artefact_increment=0.2)
    assert older.masking.masks == "center"
    assert older.masking.artifacts == ArtifactSchedule(artifact_interval=2, artifact_increment=0.2)
    for name, present, old in (
        (
            "cim",
            {"masks": "center", "artifact_interval": 3},
            {"masks": "centre", "artefact_interval": 3},
        ),
        ("compressed-replay", {"boxes": "center"}, {"boxes": "centre"}),
        ("compressed-replay", {"codec": "quantized:bits=2"}, {"codec": "quantised:bits=2"}),
    ):
        entry = registry("strategies")[name]
        hashed = [entry.hashed_options(entry.resolve_options(given)) for given in (present, old)]
        assert hashed[0] == hashed[1] and old.items() <= hashed[0].items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "fostr"}, "host"),
        ({"masks": "learned"}, "masks"),
        ({"eta": 0.5}, "eta"),
        ({"released": True, "inner_lr": 0.5}, "released"),
        ({"inner_lr": 0.0}, "inner_lr"),
        ({"filter": "lanczos"}, "filter"),
        ({"inner": "gif"}, "inner"),
        ({"mask_lr": 0.0}, "lr"),
        ({"threshold": 1.0}, "threshold"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        make(**options)


def test_a_network_without_class_activation_maps_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 20), nn.ReLU(), nn.Linear(20, 6))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    strategy = CIM(model=model, optimizer=optimizer, train_mb_size=12, train_epochs=1)
    with pytest.raises(UserError, match="no class activation maps"):
        strategy.train(stream().train_stream[0])


@pytest.mark.parametrize("codec", ["raw", "jpeg:quality=30", "downsample", "two-resolution"])
def test_compressed_replay_stores_what_it_is_told_to(codec):
    strategy = train(make(CompressedReplay, epochs=1, mem_bytes=8_000, codec=codec), stream())
    memory = strategy.memory.memory
    assert memory.codec.name == codec.partition(":")[0]
    assert memory.bytes_used <= 8_000 and len(memory.counts()) == 4


@pytest.mark.parametrize(
    ("host", "sites"),
    [
        ("icarl", 2),
        pytest.param("wa", 2, marks=pytest.mark.slow),  # shares what CIM plugs into with iCaRL
        ("lucir", 2),
        ("der-expandable", 6),
        ("foster:compress_epochs=2", 4),
    ],
)
def test_cim_plugs_into_each_host(host, sites):
    benchmark = stream(tasks=3)
    strategy = train(make(host=host, epochs=3), benchmark)
    memory, phi = strategy.masking.memory, strategy.masking.learner.activations
    assert memory.bytes_used <= 8_000 and set(memory.counts()) == set(range(6))
    assert memory.report()["compression_rate"] < 0.95
    assert phi.sites == sites == len(phi.numerator)
    assert all(value.isfinite().all() for value in phi.parameters())


@pytest.mark.parametrize("host", ["der-expandable", "foster:compress_epochs=1"])
def test_masks_are_trained_jointly_beside_a_frozen_backbone(host):
    strategy = train(make(host=host, masks="joint", epochs=1), stream(tasks=2))
    assert set(strategy.masking.memory.counts()) == set(range(4))


@pytest.mark.slow
@pytest.mark.parametrize("host", ["icarl", "lucir", "der-expandable", "foster"])
def test_cim_with_a_host_remembers_what_fine_tuning_forgets(host):
    gains = []
    for seed in range(3):
        benchmark, options = stream(seed=seed), {"seed": seed, "epochs": 8}
        forgetful = train(make(Strategy, **options), benchmark)
        options |= {"mem_bytes": 20_000, "artifact_interval": 3, "host": host}
        gains.append(accuracy(train(make(**options), benchmark), benchmark))
        gains[-1] -= accuracy(forgetful, benchmark)
    assert np.mean(gains) > 0.15 and min(gains) > 0


def test_the_masks_follow_the_whole_loss_of_the_host():
    found = []
    for weight in (0.0, 50.0):
        strategy = train(make(host=f"lucir:less_forget={weight}", epochs=1), stream(tasks=1))
        before = copy.deepcopy(strategy.masking.learner.activations.state_dict())
        experience = stream(tasks=2).train_stream[1]
        torch.manual_seed(3)
        strategy.train(experience)
        after = strategy.masking.learner.activations.state_dict()
        found.append((before, after))
    assert torch.equal(found[0][0]["numerator"], found[1][0]["numerator"])
    assert not torch.equal(found[0][1]["numerator"], found[1][1]["numerator"])


def test_a_new_backbone_begins_with_the_activations_of_the_last():
    strategy = train(make(host="der-expandable", epochs=1, mask_lr=0.05), stream(tasks=1))
    learned = copy.deepcopy(strategy.masking.learner.activations)
    assert not torch.allclose(learned.numerator[0], learned.numerator[1])
    grown = learned.resized(4)
    assert torch.equal(grown.numerator, learned.numerator.repeat(2, 1))
    assert torch.equal(grown.resized(2).numerator, learned.numerator)
    last = PadeActivations(2, learnable=1)
    assert last.resized(4).replacing and len(last.resized(4).numerator) == 1


@pytest.mark.parametrize(
    "host",
    [
        "der-expandable",
        pytest.param("foster:compress_epochs=1", marks=pytest.mark.slow),
        pytest.param("icarl", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_with_a_host_goes_on_bit_for_bit(host):
    benchmark = stream(tasks=3, n=24)
    whole, resumed = (make(host=host, epochs=2, plugins=[ResidentDataPlugin()]) for _ in range(2))
    for experience in benchmark.train_stream[:2]:
        whole.train(experience)
    state = copy.deepcopy(capture_state(whole))
    restore_state(resumed, state, experiences_seen=list(benchmark.train_stream[:2]))
    for strategy in (whole, resumed):
        torch.manual_seed(5)
        strategy.train(benchmark.train_stream[2])
    assert whole.masking.memory.records == resumed.masking.memory.records
    for part in (lambda s: s.model, lambda s: s.masking.learner.activations):
        pairs = zip(
            part(whole).state_dict().items(), part(resumed).state_dict().items(), strict=True
        )
        assert all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)


# ---------------------------------------------------------------------- boxes in numbers


def test_the_overlap_with_plain_maps_is_measured_where_boxes_are_made():
    overlaps = {}
    for masks in ("none", "cam", "empty", "center", "bilevel"):
        strategy = train(make(masks=masks, epochs=2, mask_lr=0.05), stream())
        overlaps[masks] = strategy.masking.cam_overlap
        area = strategy.masking.memory.report()["box_area"]
        assert {"none": area is None, "empty": area == 0, "center": area == 0.25}.get(masks, True)
    assert overlaps["none"] is None and overlaps["cam"] == 1
    assert 0 <= overlaps["empty"] < overlaps["center"] < 1
    assert 0 < overlaps["bilevel"] < 1


def test_boxes_in_numbers_are_metrics_and_outlast_a_resume():
    area, overlap, true = metrics = mask_metrics()
    strategy = make(masks="random", plugins=[EvaluationPlugin(*metrics, loggers=[])])
    benchmark = stream()
    train(strategy, benchmark)
    assert area.values == [0.25, 0.25]
    assert len(overlap.values) == 2 and overlap.values[-1] == strategy.masking.cam_overlap
    resumed = make(masks="random")
    state = copy.deepcopy(capture_state(strategy))
    restore_state(resumed, state, experiences_seen=list(benchmark.train_stream))
    assert resumed.masking.cam_overlap == strategy.masking.cam_overlap
    numbers = exemplar_numbers(resumed)
    assert (numbers["box_area"], numbers["cam_overlap"]) == (0.25, overlap.values[-1])
    assert 0 < numbers["true_overlap"] == true.values[-1] == resumed.masking.true_overlap < 1


@pytest.mark.parametrize("host", ["replay", "der-expandable"])
def test_an_oracle_keeps_what_the_stream_knows_and_goes_on_after_a_resume(host):
    benchmark = stream()
    options = {"masks": "oracle", "host": host, "epochs": 3, "inner": "jpeg", "filter": "box"}
    whole, resumed = (make(**options, eta=16) for _ in range(2))
    whole.train(benchmark.train_stream[0])
    state = copy.deepcopy(capture_state(whole))
    restore_state(resumed, state, experiences_seen=list(benchmark.train_stream[:1]))
    for strategy in (whole, resumed):
        torch.manual_seed(5)
        strategy.train(benchmark.train_stream[1])
        assert strategy.masking.true_overlap == 1 and strategy.masking.cam_overlap < 1
        codec = strategy.masking.codec
        boxes = [codec.box(record.payload) for record in strategy.masking.memory.records]
        assert {(b[1] - b[0], b[3] - b[2]) for b in boxes} == {(6, 6)} and len(set(boxes)) > 3
    assert whole.masking.memory.records == resumed.masking.memory.records


def test_an_oracle_is_refused_where_no_box_is_known():
    strategy, benchmark = make(masks="oracle", epochs=1), stream(known=False)
    before = copy.deepcopy(strategy.model.state_dict())
    with pytest.raises(UserError, match="squares does not know which part"):
        strategy.masking.check_stream(benchmark.info)
    with pytest.raises(UserError, match="does not know which part"):
        strategy.train(benchmark.train_stream[0])
    assert all(torch.equal(value, before[k]) for k, value in strategy.model.state_dict().items())
    assert train(make(masks="center", epochs=1), benchmark).masking.true_overlap is None
    tables = {"benchmark": "split-digits", "strategy": "cim", "model": "small-resnet"}
    tables = {table: {"name": name} for table, name in tables.items()}
    tables["strategy"]["masks"] = "oracle"
    config = ExperimentConfig.from_dict(tables)
    with pytest.raises(UserError, match="split-digits does not know"):
        check_configs([config])


def test_boxes_that_look_at_nothing_need_no_activation_maps():
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 20), nn.ReLU(), nn.Linear(20, 6))
    strategy = CIM(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=12,
        masks="center",
        evaluator=None,
    )
    strategy.train(stream().train_stream[0])
    assert strategy.masking.cam_overlap is None
    assert strategy.masking.memory.report()["box_area"] == 0.25


def test_the_background_is_stored_and_learned_with_the_filter_that_is_asked_for():
    payloads = {}
    for filter in ("nearest", "box"):
        strategy = train(make(masks="empty", epochs=1, filter=filter), stream(tasks=1))
        assert strategy.masking.codec.filter == filter
        assert strategy.masking.learner.objective.filter == filter
        payloads[filter] = {r.payload for r in strategy.masking.memory.records}
    assert payloads["nearest"].isdisjoint(payloads["box"])
