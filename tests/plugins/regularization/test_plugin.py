"""L2Plugin, SIPlugin and ALASSOPlugin in plain Avalanche scripts."""

import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training.plugins import (
    EvaluationPlugin,
    LwFPlugin,
    ReplayPlugin,
    SupervisedPlugin,
    SynapticIntelligencePlugin,
)
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins import ALASSOPlugin, L2Plugin, SIPlugin

PLUGINS = [L2Plugin, SIPlugin, ALASSOPlugin]
FEATURES, CLASSES = 8, 6


class Blobs(torch.utils.data.TensorDataset):
    """A Gaussian blob per class, with the ``targets`` that Avalanche asks for."""

    def __init__(self, seed, per_class=20):
        generator = torch.Generator().manual_seed(seed)
        y = torch.arange(CLASSES).repeat_interleave(per_class)
        centers = 2 * torch.eye(CLASSES, FEATURES)
        x = centers[y] + 0.5 * torch.randn(len(y), FEATURES, generator=generator)
        super().__init__(x, y)
        self.targets = y.tolist()


def stream(task_labels=False):
    return nc_benchmark(
        Blobs(0),
        Blobs(1),
        n_experiences=3,
        task_labels=task_labels,
        shuffle=False,
        class_ids_from_zero_in_each_exp=task_labels,
    )


def network():
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(FEATURES, 12), nn.ReLU(), nn.Linear(12, CLASSES))


def template(model, *plugins, lr=0.05, optimizer=None, **options):
    return SupervisedTemplate(
        model=model,
        optimizer=optimizer or torch.optim.SGD(model.parameters(), lr=lr),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        train_epochs=2,
        eval_mb_size=60,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(),
        **options,
    )


def train(strategy, benchmark, **options):
    torch.manual_seed(7)
    for experience in benchmark.train_stream:
        strategy.train(experience, **options)
    return flat(strategy.model)


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def importances(plugin):
    return torch.cat([t.flatten() for t in plugin.surrogate.named("importance").values()])


def test_avalanches_own_si_does_nothing_on_a_cpu_and_ours_does():
    """Its "old" weights are views of the live ones, so that no weight ever seems to move."""
    benchmark = stream()
    naive = train(template(network()), benchmark)

    theirs = SynapticIntelligencePlugin(si_lambda=100.0)
    assert torch.equal(train(template(network(), theirs), benchmark), naive)
    assert theirs.ewc_data[1]
    assert all(not importance.data.any() for importance in theirs.ewc_data[1].values())

    ours = SIPlugin(strength=10.0)
    assert not torch.equal(train(template(network(), ours), benchmark), naive)
    assert importances(ours).max() > 1e-3


@pytest.mark.parametrize(
    ("make", "c"), [(L2Plugin, 10.0), (SIPlugin, 300.0), (ALASSOPlugin, 300.0)]
)
def test_strength_keeps_important_parameters_near_their_center(make, c):
    drifts = []
    for strength in (0.0, c):
        model, plugin, benchmark = network(), make(strength=strength), stream()
        strategy = template(model, plugin, lr=0.01)
        torch.manual_seed(7)
        strategy.train(benchmark.train_stream[0])
        center, importance = flat(model), importances(plugin)
        strategy.train(benchmark.train_stream[1])
        drifts.append(float((importance * (flat(model) - center) ** 2).sum()))
    assert drifts[1] < 0.8 * drifts[0]


@pytest.mark.parametrize("make", PLUGINS)
def test_without_strength_it_is_bitwise_naive(make):
    benchmark = stream()
    naive = train(template(network()), benchmark)
    assert torch.equal(train(template(network(), make(strength=0.0)), benchmark), naive)


@pytest.mark.parametrize("make", PLUGINS)
def test_a_growing_head_trains(make):
    class Growing(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Linear(FEATURES, 12), nn.ReLU())
            self.classifier = IncrementalClassifier(12, initial_out_features=2)

        def forward(self, x):
            return self.classifier(self.features(x))

    torch.manual_seed(5)
    model, plugin, benchmark = Growing(), make(strength=3.0), stream()
    strategy = template(model, plugin)
    sizes = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        sizes.append(len(plugin.surrogate.named("importance")["classifier.classifier.weight"]))
    assert sizes == [2, 4, 6]
    assert flat(model).isfinite().all()


@pytest.mark.parametrize("make", PLUGINS)
def test_a_head_that_grows_in_an_evaluation_during_training_is_followed(make):
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(FEATURES, 12), nn.ReLU(), IncrementalClassifier(12))
    plugin, benchmark = make(strength=3.0), stream()
    strategy = template(model, plugin, eval_every=1)
    strategy.train(benchmark.train_stream[0], eval_streams=[benchmark.test_stream])
    assert plugin.surrogate.named("importance")["2.classifier.weight"].shape == (CLASSES, 12)
    strategy.train(benchmark.train_stream[1], eval_streams=[benchmark.test_stream])
    assert flat(model).isfinite().all()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("make", PLUGINS)
def test_several_heads_of_which_one_has_gradients(make, optimizer):
    model = MTSimpleMLP(input_size=FEATURES, hidden_size=12)
    plugin = make(strength=3.0)
    strategy = template(model, plugin, optimizer=optimizer(model.parameters(), lr=0.01))
    train(strategy, stream(task_labels=True))
    heads = [n for n in plugin.surrogate.named("importance") if n.startswith("classifier")]
    assert len(heads) == 6
    assert flat(model).isfinite().all()
    assert importances(plugin).max() > 0


@pytest.mark.parametrize("make", PLUGINS)
def test_a_frozen_layer_does_not_move(make):
    model, plugin, benchmark = network(), make(strength=3.0), stream()
    strategy = template(model, plugin)
    strategy.train(benchmark.train_stream[0])
    model[0].requires_grad_(False)
    weight = model[0].weight.clone()
    strategy.train(benchmark.train_stream[1])
    assert torch.equal(model[0].weight, weight)
    assert plugin.value(model) == 0  # the center has moved to where training ended
    with torch.no_grad():
        model[2].weight.add_(0.1)
    assert plugin.value(model) > 0


@pytest.mark.parametrize("make", [SIPlugin, ALASSOPlugin])
@pytest.mark.parametrize("ours_first", [True, False])
def test_gradient_clipping_bounds_the_step_but_not_the_task_gradient(make, ours_first):
    class Clip(SupervisedPlugin):
        norms = ()

        def before_update(self, strategy, *args, **kwargs):
            norm = nn.utils.clip_grad_norm_(strategy.model.parameters(), 1e-3)
            self.norms = (*self.norms, float(norm))

    clip, plugin, model, benchmark = Clip(), make(strength=3.0), network(), stream()
    strategy = template(model, *((plugin, clip) if ours_first else (clip, plugin)))
    start = flat(model)
    strategy.train(benchmark.train_stream[0])
    steps = len(clip.norms)
    assert (flat(model) - start).norm() <= 1.001 * steps * 0.05 * 1e-3
    # Each step goes 0.05 * 1e-3 against the gradient, whose true norm the path must hold.
    expected = sum(0.05 * 1e-3 * norm for norm in clip.norms)
    moved = plugin.surrogate.xi * importances(plugin).sum().item()
    assert moved == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("make", PLUGINS)
def test_batch_normalization_trains_and_can_be_left_out(make):
    for exclude in ((), ("1.*",)):
        torch.manual_seed(5)
        model = nn.Sequential(
            nn.Linear(FEATURES, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, CLASSES)
        )
        plugin = make(strength=3.0, exclude=exclude)
        assert train(template(model, plugin), stream()).isfinite().all()
        assert ("1.weight" in plugin.surrogate.named("importance")) == (not exclude)


@pytest.mark.parametrize("make", PLUGINS)
def test_it_composes_with_replay_and_distillation(make):
    benchmark = stream()

    def others():
        return ReplayPlugin(mem_size=30), LwFPlugin(alpha=1.0, temperature=2.0)

    plain = train(template(network(), *others()), benchmark)
    plugin = make(strength=3.0)
    regularized = train(template(network(), plugin, *others()), benchmark)
    assert regularized.isfinite().all()
    assert not torch.equal(plain, regularized)
    assert torch.equal(plain, train(template(network(), make(strength=0.0), *others()), benchmark))


@pytest.mark.parametrize("make", PLUGINS)
def test_evaluations_between_and_within_experiences_change_nothing(make):
    class KeepGenerator(SupervisedPlugin):
        """Data loaders draw a seed when an evaluation starts: give it back."""

        evaluations = 0

        def before_eval(self, strategy, *args, **kwargs):
            self.state = torch.get_rng_state()

        def after_eval(self, strategy, *args, **kwargs):
            torch.set_rng_state(self.state)
            self.evaluations += 1

    benchmark, quiet, watched, keep = (
        stream(),
        make(strength=3.0),
        make(strength=3.0),
        KeepGenerator(),
    )
    expected = train(template(network(), quiet), benchmark)
    strategy = template(network(), watched, keep, eval_every=1)
    assert torch.equal(train(strategy, benchmark, eval_streams=[benchmark.test_stream]), expected)
    assert torch.equal(importances(watched), importances(quiet))
    assert keep.evaluations >= 6


def test_an_optimizer_that_evaluates_the_loss_itself_is_refused():
    model = network()
    strategy = template(model, SIPlugin(), optimizer=torch.optim.LBFGS(model.parameters()))
    with pytest.raises(UserError, match="LBFGS"):
        strategy.train(stream().train_stream[0])


@pytest.mark.parametrize("make", PLUGINS)
def test_the_state_of_a_plugin_resumes_in_mid_stream(make):
    benchmark, whole, first, second = (
        stream(),
        make(strength=3.0),
        make(strength=3.0),
        make(strength=3.0),
    )
    torch.manual_seed(7)
    strategy = template(network(), whole)
    for experience in benchmark.train_stream:
        strategy.train(experience)

    torch.manual_seed(7)
    interrupted = template(network(), first)
    for experience in benchmark.train_stream[:2]:
        interrupted.train(experience)
    second.load_state_dict(first.state_dict())
    resumed = template(interrupted.model, second)
    resumed.train(benchmark.train_stream[2])
    assert torch.equal(flat(resumed.model), flat(strategy.model))
    assert torch.equal(importances(second), importances(whole))


def test_a_misspelt_option_is_answered_with_the_nearest():
    with pytest.raises(TypeError, match="SIPlugin.. has no argument 'strenght': did you mean"):
        SIPlugin(strenght=1.0)
