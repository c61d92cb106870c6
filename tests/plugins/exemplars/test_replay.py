"""Compressed replay inside Avalanche strategies, and MRDC's choice of a quality."""

import copy
import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils.data_loader import ReplayDataLoader
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin, SupervisedPlugin
from avalanche.training.supervised import LwF, Naive
from torch import nn

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state, state_bytes
from cl_strategies.models.heads import with_head
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.buffer.quota import RECORD_BYTES
from cl_strategies.plugins.exemplars.replay.jpeg_quality import choose_jpeg_quality
from cl_strategies.plugins.exemplars.replay.metrics import exemplar_metrics
from cl_strategies.plugins.exemplars.replay.mrdc import MRDCPlugin
from cl_strategies.plugins.exemplars.replay.plugin import CompressedReplayPlugin


def stream(scenario="class", n=48, side=12, seed=0):
    """Three tasks of two classes, each with a bright patch in a place of its own."""
    generator = torch.Generator().manual_seed(seed)
    patch = side // 3

    def samples(task):
        y = torch.arange(n) % 2
        x = torch.rand(n, 3, side, side, generator=generator) * 0.4
        for i in range(n):
            top, left = task * patch, int(y[i]) * patch * 2
            x[i, :, top : top + patch, left : left + patch] += 0.6
        return x, y + (0 if scenario == "domain" else 2 * task)

    sides = [[samples(task) for task in range(3)] for _ in range(2)]
    return build_benchmark(*sides, name="patches", scenario=scenario)


def make(plugins, scenario="class", seed=0, kind=Naive, **options):
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(128, 32))
    body.append(nn.ReLU())
    model = with_head(body, 32, n_classes=6, scenario=scenario, head="auto")
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        train_epochs=4,
        eval_mb_size=64,
        plugins=plugins,
        evaluator=None,
        **options,
    )


@torch.no_grad()
def accuracy(strategy, benchmark):
    strategy.model.eval()
    right = total = 0
    for experience in benchmark.test_stream:
        x = torch.stack([experience.dataset[i][0] for i in range(len(experience.dataset))])
        y = torch.tensor(list(experience.dataset.targets))
        right += int((strategy.model(x).argmax(1) == y).sum())
        total += len(y)
    return right / total


def test_replay_remembers_what_fine_tuning_forgets():
    gains = []
    for seed in range(3):
        benchmark, scores = stream(seed=seed), []
        for plugins in ([], [CompressedReplayPlugin(mem_bytes=20_000, codec="jpeg")]):
            strategy = make(plugins, seed=seed)
            for experience in benchmark.train_stream:
                strategy.train(experience)
            scores.append(accuracy(strategy, benchmark))
        gains.append(scores[1] - scores[0])
    assert min(gains) > 0.2


def test_it_takes_the_place_of_avalanches_plugin_step_by_step():
    """With room for everything and a lossless codec, it replays what Avalanche's replays."""
    benchmark, loaders = stream(), []
    for plugin in (
        ReplayPlugin(mem_size=10_000),
        CompressedReplayPlugin(
            mem_bytes=10**7, balance="experience", order=lambda f: torch.arange(len(f))
        ),
    ):
        strategy = make([plugin])
        for experience in benchmark.train_stream[:2]:
            strategy.train(experience)
        memory = plugin.storage_policy.buffer
        loaders.append(sorted((y, float(x.sum())) for x, y, _ in memory))
    for (label, a), (other, b) in zip(*loaders, strict=True):
        assert label == other
        assert a == pytest.approx(b, abs=432 * 0.5 / 255)  # 8 bits per value


class Watch(ResidentDataPlugin):
    """Notes the loader of each experience."""

    def before_training_exp(self, strategy, **kwargs):
        loader, dataset = strategy.dataloader, strategy.adapted_dataset
        self.seen = [*getattr(self, "seen", []), (type(loader), len(dataset))]


def test_memory_is_joined_to_batches_or_to_the_data_set():
    for join, kinds in (("batch", [False, True]), ("concat", [False, False])):
        plugin, watch = CompressedReplayPlugin(mem_bytes=9_000, join=join), Watch()
        strategy = make([plugin, watch])
        for experience in stream().train_stream[:2]:
            strategy.train(experience)
        assert [kind is ReplayDataLoader for kind, _ in watch.seen] == kinds
        stored = 9_000 // (432 + 7 + RECORD_BYTES)
        assert [length for _, length in watch.seen] == [48, 48 + stored * (join == "concat")]


@pytest.mark.parametrize("join", ["batch", "concat"])
@pytest.mark.parametrize("scenario", ["class", "domain", "task"])
def test_it_works_in_every_scenario(scenario, join):
    plugin = CompressedReplayPlugin(mem_bytes=6_000, codec="png", order="herding", join=join)
    strategy = make([plugin, ResidentDataPlugin()], scenario)
    benchmark = stream(scenario)
    for experience in benchmark.train_stream:
        strategy.train(experience, num_workers=0, persistent_workers=False)
        assert plugin.memory.bytes_used <= 6_000
    tasks = {record.task for record in plugin.memory.records}
    assert tasks == ({0, 1, 2} if scenario == "task" else {0})
    strategy.eval(benchmark.test_stream)


def test_it_works_with_other_methods_and_workers():
    strategy = make([CompressedReplayPlugin(mem_bytes=6_000)], kind=LwF, alpha=1.0, temperature=2.0)
    for experience in stream().train_stream[:2]:
        strategy.train(experience, num_workers=1)


def test_nothing_but_bytes_stays_between_experiences():
    plugin = CompressedReplayPlugin(mem_bytes=9_000, codec="jpeg")
    strategy = make([plugin])
    benchmark = stream()
    tensors = [weakref.ref(e.dataset._flat_data._datasets[0]) for e in benchmark.train_stream]
    for experience in benchmark.train_stream:
        strategy.train(experience)
    del benchmark, experience
    gc.collect()
    assert all(tensor() is None for tensor in tensors)
    assert len(plugin.memory.buffer) > 6


def test_a_run_that_is_interrupted_goes_on_bit_for_bit():
    benchmark = stream()

    def start():
        plugin = CompressedReplayPlugin(
            mem_bytes=9_000, codec="jpeg", order="herding", join="concat"
        )
        return make([plugin, ResidentDataPlugin()]), plugin

    (whole, memory), (resumed, other) = start(), start()
    for experience in benchmark.train_stream[:2]:
        whole.train(experience)
    state = copy.deepcopy(capture_state(whole))
    restore_state(resumed, state, experiences_seen=list(benchmark.train_stream[:2]))
    assert 0 <= state_bytes(whole) - memory.memory.bytes_used < 16 * 6 + 64  # names of the groups
    for strategy in (whole, resumed):
        torch.manual_seed(7)
        strategy.train(benchmark.train_stream[2])
    assert memory.memory.records == other.memory.records
    pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_evaluation_plugins_log_what_the_memory_holds_after_each_experience():
    metrics = exemplar_metrics()
    plugin = CompressedReplayPlugin(mem_bytes=2_000, codec="jpeg")
    strategy = make([plugin])
    strategy.plugins.append(EvaluationPlugin(*metrics, loggers=[]))
    for experience in stream().train_stream:
        strategy.train(experience)
    used, count, rate = (metric.values for metric in metrics)
    report = plugin.memory.report()
    assert [len(values) for values in (used, count, rate)] == [3, 3, 3]
    assert (used[-1], count[-1]) == (report["bytes_used"], report["exemplars"])
    assert rate[-1] == report["compression_rate"] > 0
    assert strategy.plugins[-1].last_metric_results["Exemplars/train_phase/train_stream/Exp002"]
    plain = exemplar_metrics()
    other = make([EvaluationPlugin(*plain, loggers=[])])
    other.train(stream().train_stream[0])
    assert all(np.isnan(metric.values[0]) for metric in plain)


def test_options_that_contradict_are_refused():
    with pytest.raises(UserError, match="join"):
        CompressedReplayPlugin(mem_bytes=100, join="both")
    with pytest.raises(TypeError, match="mem_size"):  # samples, in other plugins
        CompressedReplayPlugin(mem_size=100)
    with pytest.raises(UserError, match="give both the same"):
        CompressedReplayPlugin(mem_bytes=100, storage_policy=ByteBudgetBuffer(mem_bytes=200))


def test_the_lowest_quality_that_keeps_the_volume_is_chosen():
    strategy = make([])
    experience = stream(side=24, n=40).train_stream[0]
    agent = SimpleNamespace(
        model=nn.Sequential(nn.Flatten(), nn.Linear(1728, 64), nn.ReLU(), nn.Linear(64, 2)),
        device=strategy.device,
        eval_mb_size=64,
    )
    options = {"qualities": (90, 5, 40), "layer": "3"}
    quality, scores = choose_jpeg_quality(
        agent, experience.dataset, 1_200, tolerance=1e9, **options
    )
    assert [score.quality for score in scores] == [5, 40, 90]
    assert quality == 5
    gaps = [abs(score.volume_ratio - 1) for score in scores]
    assert gaps[0] > gaps[2]
    assert scores[0].exemplars >= scores[2].exemplars
    best, second, _ = sorted(gaps)
    between = (best + second) / 2
    chosen, _ = choose_jpeg_quality(agent, experience.dataset, 1_200, tolerance=between, **options)
    assert chosen == scores[gaps.index(best)].quality
    logs = [abs(np.log(max(score.volume_ratio, 1e-300))) for score in scores]
    with pytest.warns(UserWarning, match="no JPEG quality"):
        nearest, _ = choose_jpeg_quality(agent, experience.dataset, 1_200, tolerance=0.0, **options)
    assert nearest == scores[logs.index(min(logs))].quality
    with pytest.raises(UserError, match="span a volume"):
        choose_jpeg_quality(agent, experience.dataset, 10, **options)


def test_mrdc_chooses_once_and_remembers():
    plugin = MRDCPlugin(mem_bytes=6_000, classes=6, tolerance=1e9, order="herding")
    strategy = make([plugin])
    for experience in stream().train_stream[:2]:
        strategy.train(experience)
    assert plugin.quality == 10
    qualities = {record.payload[7] for record in plugin.memory.records}
    assert qualities == {10}
    other = MRDCPlugin(mem_bytes=6_000, classes=6)
    other.load_state_dict(plugin.state_dict())
    assert (other.quality, other.scores) == (10, plugin.scores)
    assert other.memory.records == plugin.memory.records
    with pytest.raises(UserError, match="classes="):
        MRDCPlugin(mem_bytes=6_000)


def flat_network(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(432, width), nn.ReLU(), nn.Linear(width, 6))


def test_more_exemplars_than_dimensions_still_have_a_volume():
    """24 images of each class and 8 features: a ratio that tells qualities apart, no noise."""
    experience = stream(n=48).train_stream[0]
    torch.manual_seed(0)
    agent = SimpleNamespace(model=flat_network(8), device=torch.device("cpu"), eval_mb_size=64)
    options = {"qualities": (2, 95), "tolerance": 1e9}
    _, (low, high) = choose_jpeg_quality(agent, experience.dataset, 4_000, **options)
    assert low.exemplars > 8 and high.exemplars > 8
    assert 0.25 < high.volume_ratio < 4  # rounding noise differs by orders of magnitude
    assert 0 < low.volume_ratio < high.volume_ratio


def test_the_best_quality_is_kept_where_all_images_fit():
    plugin = MRDCPlugin(mem_bytes=1_000_000, classes=6, tolerance=1e-9, qualities=(30, 90, 60))
    make([plugin]).train(stream().train_stream[0])
    assert plugin.quality == 90
    assert len(plugin.memory.records) == 48


class Trained(SupervisedPlugin):
    """Notes that a mini-batch was trained."""

    yet = False

    def after_update(self, strategy, **kwargs):
        self.yet = True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "does not say how many classes"),
        ({"classes": 6, "mem_bytes": 60}, "hold no exemplar"),
    ],
)
def test_what_the_choice_of_a_quality_needs_is_checked_before_training(options, message):
    trained, experience = Trained(), stream().train_stream[0]
    experience.benchmark = SimpleNamespace()  # says nothing of its classes
    strategy = make([MRDCPlugin(**{"mem_bytes": 60_000, **options}), trained])
    with pytest.raises(UserError, match=message):
        strategy.train(experience)
    assert not trained.yet
    with pytest.raises(UserError, match="no qualities"):
        MRDCPlugin(classes=6, qualities=())
    with pytest.raises(UserError, match="qualities"):
        MRDCPlugin(classes=6, qualities=(0,))
