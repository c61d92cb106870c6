"""LifeQuant's parts: balanced loss, replay of a share, inter-task penalty."""

import pytest
import torch
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins.quantization import functional as f
from cl_strategies.plugins.quantization.balanced_loss import BalancedLossPlugin
from cl_strategies.plugins.quantization.conversion.layers import constant_weights, quantized_layers
from cl_strategies.plugins.quantization.inter_task_penalty import InterTaskQuantizationPenaltyPlugin
from cl_strategies.plugins.quantization.plugin import QuantizationPlugin, quantize_strategy
from cl_strategies.plugins.quantization.ratio_replay import RatioReplayPlugin, choose
from cl_strategies.plugins.quantization.weight_importance import squared_gradients


def stream(scenario="class", count=40, tasks=3):
    pieces = [(torch.randn(count, 1, 2, 3), torch.arange(count) % 2 + 2 * k) for k in range(tasks)]
    if scenario != "class":
        pieces = [(x + k, y - 2 * k) for k, (x, y) in enumerate(pieces)]
    return build_benchmark(pieces, pieces, name="random", scenario=scenario)


def strategy(benchmark, *plugins, head="auto", **options):
    info = benchmark.info
    model = mlp(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        hidden=[8, 8],
        head=head,
    )
    options = {"criterion": nn.CrossEntropyLoss(), "train_mb_size": 8, **options}
    return SupervisedTemplate(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
        train_epochs=1,
        eval_mb_size=64,
        plugins=list(plugins),
        evaluator=None,
        **options,
    )


def train(made, benchmark):
    for experience in benchmark.train_stream:
        made.train(experience)


class Spy:
    """Sees losses and labels of iterations, in the place where it stands among plugins."""

    def __init__(self):
        self.losses, self.labels, self.outputs = [], [], []

    def before_backward(self, made, **unused):
        self.losses.append(made.loss.detach().clone())
        self.labels.append(made.mb_y)
        self.outputs.append(made.mb_output.detach())


@pytest.mark.parametrize("form", ["probability", "logit", "released", "prior"])
def test_training_uses_the_balanced_loss_and_evaluation_the_plain_one(form):
    benchmark = stream()
    plugin, replay, spy = BalancedLossPlugin(form=form), RatioReplayPlugin(replay_ratio=0.2), Spy()
    made = strategy(benchmark, plugin, replay)
    made.plugins.append(spy)
    plain = made._criterion
    train(made, benchmark)
    assert plugin.counts.tolist() == [4, 4, 4, 4, 20, 20]
    logits, labels = spy.outputs[-1], spy.labels[-1]
    expected = f.balanced_cross_entropy(logits, labels, plugin.counts, form=form, max_ratio=50)
    torch.testing.assert_close(spy.losses[-1], expected[None])
    assert made._criterion is plain
    made.eval(benchmark.test_stream)
    assert made._criterion is plain


def test_an_evaluation_within_an_experience_has_the_plain_loss():
    benchmark = stream()
    plugin = BalancedLossPlugin()
    made = strategy(benchmark, plugin)
    seen = []

    class Nested:
        def after_training_epoch(self, made, **unused):
            seen.append(made._criterion)
            made.eval(benchmark.test_stream)
            seen.append(made._criterion)

        def after_eval_forward(self, made, **unused):
            seen.append(made._criterion)

    made.plugins.append(Nested())
    made.train(benchmark.train_stream[0])
    assert seen[0] == seen[-1] == plugin.loss
    assert all(isinstance(criterion, nn.CrossEntropyLoss) for criterion in seen[1:-1])


def test_classes_in_the_buffer_of_a_replay_plugin_count():
    benchmark = stream()
    plugin = BalancedLossPlugin()
    made = strategy(benchmark, plugin, ReplayPlugin(mem_size=10))
    train(made, benchmark)
    assert plugin.counts[4:].tolist() == [20, 20] and int(plugin.counts[:4].sum()) == 10


def test_growing_heads_are_balanced_over_the_classes_so_far():
    benchmark = stream()
    made = strategy(
        benchmark, BalancedLossPlugin(), RatioReplayPlugin(replay_ratio=0.5), head="growing"
    )
    train(made, benchmark)
    assert all(p.isfinite().all() for p in made.model.parameters())


def test_what_the_balanced_loss_cannot_replace_is_refused():
    benchmark = stream()
    made = strategy(benchmark, BalancedLossPlugin(), criterion=nn.CrossEntropyLoss(reduction="sum"))
    with pytest.raises(UserError, match="plain"):
        made.train(benchmark.train_stream[0])
    several = stream("task")
    made = strategy(several, BalancedLossPlugin())
    made.train(several.train_stream[0])
    with pytest.raises(UserError, match="task labels"):
        made.train(several.train_stream[1])
    with pytest.raises(UserError, match="probability"):
        BalancedLossPlugin(form="probable")
    with pytest.raises(UserError, match="max_ratio"):
        BalancedLossPlugin(max_ratio=0)
    with pytest.raises(UserError, match="counted yet"):
        BalancedLossPlugin().loss(torch.randn(2, 3), torch.tensor([0, 1]))


def test_a_share_of_each_class_is_replayed_once_per_epoch():
    benchmark = stream(count=42)
    spy = Spy()
    made = strategy(benchmark, RatioReplayPlugin(replay_ratio=0.25))
    made.plugins.append(spy)
    counts = []
    for experience in benchmark.train_stream:
        spy.labels = []
        made.train(experience)
        counts.append(torch.bincount(torch.cat(spy.labels), minlength=6).tolist())
    assert counts == [[21, 21, 0, 0, 0, 0], [5, 5, 21, 21, 0, 0], [5, 5, 5, 5, 21, 21]]


def test_replayed_samples_are_those_of_the_train_stream():
    benchmark = stream()
    plugin = RatioReplayPlugin(replay_ratio=0.3)
    made = strategy(benchmark, plugin)
    made.train(benchmark.train_stream[0])
    made.train(benchmark.train_stream[1])
    for position, data in plugin.data.items():
        source = list(benchmark.train_stream[position].dataset.sample_ids)
        assert set(data.sample_ids) < set(source) and len(data) == 12


def test_nothing_is_replayed_at_a_ratio_of_zero_and_everything_at_one():
    labels = torch.tensor([0, 0, 0, 1])
    assert choose(labels, 0.0).tolist() == []
    assert choose(labels, 1.0).tolist() == [0, 1, 2, 3]
    assert choose(labels, 0.01).tolist()[-1] == 3 and len(choose(labels, 0.01)) == 2
    for ratio in (-0.1, 1.5):
        with pytest.raises(UserError, match="from 0 to 1"):
            RatioReplayPlugin(replay_ratio=ratio)


@pytest.mark.parametrize("form", ["standard", "released"])
def test_the_penalty_is_zero_in_the_first_task_and_acts_from_the_second_on(form):
    benchmark = stream()
    plugin, spy = InterTaskQuantizationPenaltyPlugin(strength=50.0, penalty_form=form), Spy()
    made = strategy(benchmark, plugin)
    made.plugins.append(spy)
    quantize_strategy(made, QuantizationPlugin(quantizer="lifequant", weight_bits=3))
    train(made, benchmark)
    assert float(plugin.penalty(made)) == 0  # the end of the last task is the new reference
    with torch.no_grad():
        for layer in quantized_layers(made.model).values():
            layer.weight.copy_(torch.randn_like(layer.weight))
    assert float(plugin.penalty(made)) > 0
    plain = [
        f.balanced_cross_entropy(o, y, torch.ones(6))
        for o, y in zip(spy.outputs, spy.labels, strict=True)
    ]
    added = [float(loss - ce) for loss, ce in zip(spy.losses, plain, strict=True)]
    steps = len(added) // 3
    assert max(map(abs, added[:steps])) < 1e-5
    assert min(added[2 * steps - 1], added[-1]) > 1e-4


def test_latent_weights_move_freely_while_no_quantized_weight_does():
    benchmark = stream()
    standard = InterTaskQuantizationPenaltyPlugin(strength=50.0)
    released = InterTaskQuantizationPenaltyPlugin(strength=50.0, penalty_form="released")
    made = strategy(benchmark, standard, released)
    quantize_strategy(made, QuantizationPlugin(quantizer="lifequant"))
    made.train(benchmark.train_stream[0])
    with torch.no_grad():
        for layer in quantized_layers(made.model).values():
            layer.weight_quantizer.rescale = False
        standard.reference = {
            k: v.detach().clone() for k, v in standard.estimator.weights(made.model).items()
        }
        for layer in quantized_layers(made.model).values():
            layer.weight.mul_(2).add_(0.5)
    assert float(standard.penalty(made)) == 0
    assert float(released.penalty(made)) > 0


def test_the_gradient_of_the_penalty_passes_through_the_quantizer():
    benchmark = stream()
    plugin = InterTaskQuantizationPenaltyPlugin(strength=1.0)
    made = quantize_strategy(strategy(benchmark, plugin), QuantizationPlugin(quantizer="lifequant"))
    made.train(benchmark.train_stream[0])
    layer = made.model.backbone[1]
    with torch.no_grad():
        layer.weight.copy_(torch.randn_like(layer.weight))
    found = torch.autograd.grad(plugin.penalty(made), layer.weight)[0]
    name = "backbone.1.weight"
    upstream = 2 * plugin.importance[name] * (layer.quantized_weight() - plugin.reference[name])
    expected = torch.autograd.grad(layer.quantized_weight(), layer.weight, upstream.detach())[0]
    torch.testing.assert_close(found, expected)
    assert found.abs().max() > 0


def test_importances_are_mean_squared_gradients_of_quantized_weights():
    benchmark = stream()
    made = quantize_strategy(strategy(benchmark), QuantizationPlugin(quantizer="lifequant"))
    made.train(benchmark.train_stream[0])
    data = benchmark.train_stream[0].dataset
    before = {key: value.clone() for key, value in made.model.state_dict().items()}
    loss = nn.CrossEntropyLoss()
    found = squared_gradients(made.model.train(), data, loss, samples=100)
    made.model.eval()
    expected = {name: torch.zeros_like(value) for name, value in found.items()}
    with constant_weights(made.model) as weights:
        parameters = dict(made.model.named_parameters()) | weights
        for x, y, _ in data.eval():
            value = loss(made.model(x[None]), torch.tensor([y]))
            names = list(expected)
            gradients = torch.autograd.grad(value, [parameters[n] for n in names])
            for name, gradient in zip(names, gradients, strict=True):
                expected[name] += gradient.square() / len(data)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-9)
    assert all(torch.equal(value, before[key]) for key, value in made.model.state_dict().items())


def test_importances_of_larger_batches_are_averaged_before_they_are_squared():
    benchmark = stream()
    made = quantize_strategy(strategy(benchmark), QuantizationPlugin(quantizer="lifequant"))
    made.train(benchmark.train_stream[0])
    data = benchmark.train_stream[0].dataset
    whole = squared_gradients(
        made.model, data, nn.CrossEntropyLoss(), samples=40, batch_size=40, latent=True
    )
    made.model.eval()
    x = torch.stack([data[i][0] for i in range(40)])
    value = nn.functional.cross_entropy(made.model(x), torch.tensor(list(data.targets)))
    for name, parameter in made.model.named_parameters():
        expected = torch.autograd.grad(value, parameter, retain_graph=True)[0].square()
        torch.testing.assert_close(whole[name], expected, rtol=1e-3, atol=1e-9)


def test_importances_come_from_training_data_alone():
    benchmark = stream()
    touched = []

    class Watched(type(benchmark.test_stream[0].dataset)):
        def __getitem__(self, index):
            touched.append(index)
            return super().__getitem__(index)

    for experience in benchmark.test_stream:
        experience.dataset.__class__ = Watched
    made = strategy(
        benchmark, InterTaskQuantizationPenaltyPlugin(), RatioReplayPlugin(replay_ratio=0.2)
    )
    quantize_strategy(made, QuantizationPlugin(quantizer="lifequant"))
    train(made, benchmark)
    assert touched == []
    made.eval(benchmark.test_stream)
    assert touched


def test_old_importances_are_kept_or_forgotten():
    benchmark = stream("domain")
    results = {}
    for factor in (0.0, 1.0):
        torch.manual_seed(3)
        plugin = InterTaskQuantizationPenaltyPlugin(
            strength=0.0, decay_factor=factor, importance_samples=40
        )
        made = strategy(benchmark, plugin)
        quantize_strategy(made, QuantizationPlugin(quantizer="lifequant"))
        made.train(benchmark.train_stream[0])
        first = plugin.importance["head.weight"].clone()
        made.train(benchmark.train_stream[1])
        results[factor] = plugin.importance["head.weight"]
    torch.testing.assert_close(results[1.0], results[0.0] + first)


def test_a_grown_head_is_held_where_it_was():
    benchmark = stream()
    plugin = InterTaskQuantizationPenaltyPlugin(strength=10.0)
    made = strategy(benchmark, plugin, RatioReplayPlugin(replay_ratio=0.2), head="growing")
    quantize_strategy(made, QuantizationPlugin(quantizer="lifequant"))
    made.train(benchmark.train_stream[0])
    assert plugin.reference["head.classifier.weight"].shape[0] == 2
    made.train(benchmark.train_stream[1])
    assert plugin.importance["head.classifier.weight"].shape[0] == 4


def test_the_penalty_needs_a_quantized_model():
    benchmark = stream()
    made = strategy(benchmark, InterTaskQuantizationPenaltyPlugin())
    with pytest.raises(UserError, match="no layer of the model is quantized"):
        made.train(benchmark.train_stream[0])
    with pytest.raises(UserError, match="standard"):
        InterTaskQuantizationPenaltyPlugin(penalty_form="standart")
    with pytest.raises(UserError, match="strength is -1.0: give 0 or more"):
        InterTaskQuantizationPenaltyPlugin(strength=-1.0)


def test_states_come_back():
    benchmark = stream()
    plugins = [InterTaskQuantizationPenaltyPlugin(), BalancedLossPlugin()]
    made = strategy(benchmark, *plugins)
    quantize_strategy(made, QuantizationPlugin(quantizer="lifequant"))
    made.train(benchmark.train_stream[0])
    penalty, balanced = InterTaskQuantizationPenaltyPlugin(), BalancedLossPlugin()
    penalty.load_state_dict(plugins[0].state_dict())
    balanced.load_state_dict(plugins[1].state_dict())
    assert penalty.experiences == 1 and torch.equal(balanced.counts, plugins[1].counts)
    for name, value in plugins[0].importance.items():
        assert torch.equal(penalty.importance[name], value)
        assert torch.equal(penalty.reference[name], plugins[0].reference[name])
    with pytest.raises(UserError, match="'standard'"):
        released = InterTaskQuantizationPenaltyPlugin(penalty_form="released")
        released.load_state_dict(plugins[0].state_dict())
