"""QuantizationPlugin: any strategy becomes quantization-aware, and its optimizer stays in order."""

import copy

import pytest
import torch
from avalanche.training.plugins import EWCPlugin, MASPlugin, ReplayPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins import RWalkPlugin
from cl_strategies.plugins.quantization.conversion.convert import dequantize_model, quantize_model
from cl_strategies.plugins.quantization.conversion.layers import (
    learned_parameters,
    quantized_layers,
)
from cl_strategies.plugins.quantization.conversion.param_groups import add_groups
from cl_strategies.plugins.quantization.plugin import QuantizationPlugin, quantize_strategy
from cl_strategies.plugins.regularization.l2 import L2Plugin
from cl_strategies.plugins.regularization.si import SIPlugin


def stream(scenario="domain", tasks=3):
    pieces = [(torch.randn(24, 1, 2, 3) + k, torch.arange(24) % 3) for k in range(tasks)]
    if scenario == "class":
        pieces = [(x, y % 2 + 2 * k) for k, (x, y) in enumerate(pieces)]
    return build_benchmark(pieces, pieces, name="random", scenario=scenario)


def strategy(benchmark, *plugins, optimizer=None, head="auto", **options):
    info = benchmark.info
    model = mlp(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        hidden=[8, 8],
        head=head,
    )
    make = optimizer or (lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3))
    return SupervisedTemplate(
        model=model,
        optimizer=make(model.parameters()),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=8,
        train_epochs=1,
        eval_mb_size=8,
        plugins=list(plugins),
        evaluator=None,
        **options,
    )


def train(made, benchmark):
    for experience in benchmark.train_stream:
        made.train(experience)


@pytest.mark.parametrize("scenario", ["class", "task", "domain"])
@pytest.mark.parametrize("name", ["lsq", "pact", "alignq", "lifequant"])
def test_a_strategy_trains_quantized_in_every_scenario(name, scenario):
    benchmark = stream(scenario)
    made = strategy(benchmark, QuantizationPlugin(quantizer=name, weight_bits=2))
    train(made, benchmark)
    made.eval(benchmark.test_stream)
    assert set(quantized_layers(made.model)) == {"backbone.1", "backbone.3"}
    for layer in quantized_layers(made.model).values():
        assert len(layer.quantized_weight().unique()) <= 4
    placed = [p for group in made.optimizer.param_groups for p in group["params"]]
    assert len(placed) == len({id(p) for p in placed})
    assert {id(p) for p in placed} == {id(p) for p in made.model.parameters()}


def test_a_growing_head_joins_the_group_of_the_weights():
    benchmark = stream("class")
    made = strategy(benchmark, QuantizationPlugin(), head="growing")
    train(made, benchmark)
    steps = {id(p) for _, p in learned_parameters(made.model)}
    weights, learned = made.optimizer.param_groups
    assert {id(p) for p in learned["params"]} == steps and learned["weight_decay"] == 0
    assert made.model.head.classifier.weight.shape[0] == 6
    assert any(p is made.model.head.classifier.weight for p in weights["params"])


def test_learned_steps_have_their_own_weight_decay_and_rate():
    benchmark = stream()
    made = strategy(benchmark, QuantizationPlugin(step_weight_decay=0.5, step_lr=0.01))
    made.train(benchmark.train_stream[0])
    weights, learned = made.optimizer.param_groups
    assert (learned["weight_decay"], learned["lr"], learned["momentum"]) == (0.5, 0.01, 0.9)
    assert (weights["weight_decay"], weights["lr"]) == (1e-3, 0.05)
    pact = strategy(benchmark, QuantizationPlugin(quantizer="pact"))
    pact.train(benchmark.train_stream[0])
    assert pact.optimizer.param_groups[1]["weight_decay"] == 2e-4


@pytest.mark.parametrize(("name", "momentum"), [("lsq", 0.9), ("llsq", 0.0), ("pact", 0.0)])
def test_learned_steps_have_a_tenth_of_the_rate_and_no_idle_momentum(name, momentum):
    benchmark = stream()
    made = strategy(benchmark, QuantizationPlugin(quantizer=name))
    made.train(benchmark.train_stream[0])
    _, learned = made.optimizer.param_groups
    assert learned["lr"] == pytest.approx(0.005) and learned["momentum"] == momentum


def test_a_weight_that_bypasses_its_layer_ends_the_training_at_once():
    class Bypassing(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.used, self.head = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 6)

        def forward(self, x):
            return self.head(nn.functional.linear(self.stem(x).relu(), self.used.weight))

    benchmark = stream()
    made = strategy(benchmark, QuantizationPlugin())
    made.model = Bypassing()
    made.optimizer = torch.optim.SGD(made.model.parameters(), lr=0.1)
    with pytest.raises(UserError, match="'used' is used without calling"):
        made.train(benchmark.train_stream[0])


def test_learned_steps_are_trained():
    benchmark = stream()
    made = quantize_strategy(strategy(benchmark))
    before = [p.detach().clone() for _, p in learned_parameters(made.model)]
    train(made, benchmark)
    after = [p.detach() for _, p in learned_parameters(made.model)]
    assert before and not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_quantizers_that_learn_nothing_leave_the_optimizer_alone():
    benchmark = stream()
    made = quantize_strategy(strategy(benchmark), QuantizationPlugin(quantizer="alignq"))
    train(made, benchmark)
    assert len(made.optimizer.param_groups) == 1
    assert "make_optimizer" not in vars(made)


def test_a_new_optimizer_gets_the_learned_steps_again():
    benchmark = stream()
    made = quantize_strategy(strategy(benchmark))
    made.train(benchmark.train_stream[0])
    weights = [p for p in made.optimizer.param_groups[0]["params"]]
    made.optimizer = torch.optim.Adam(weights, lr=1e-3, weight_decay=0.1)
    made.train(benchmark.train_stream[1])
    assert [g["weight_decay"] for g in made.optimizer.param_groups] == [0.1, 0.0]


def test_new_heads_of_an_optimizer_with_several_groups_find_their_place():
    benchmark = stream("task")
    made = strategy(benchmark, QuantizationPlugin())
    backbone = made.model.backbone
    made.optimizer = torch.optim.SGD(
        [{"params": backbone[1].parameters()}, {"params": backbone[3].parameters()}], lr=0.1
    )
    with pytest.raises(UserError, match="could belong to 2 groups"):
        made.train(benchmark.train_stream[0])


def test_a_copied_strategy_sorts_its_own_parameters():
    benchmark = stream("task")
    made = quantize_strategy(strategy(benchmark))
    twin = copy.deepcopy(made)
    train(made, benchmark)
    assert len(twin.model.head.heads) == 0
    train(twin, benchmark)
    assert len(twin.optimizer.param_groups) == 2


def test_groups_are_added_to_any_optimizer():
    model = quantize_model(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)))
    weights = [p for name, p in model.named_parameters() if "quantizer" not in name]
    optimizer = torch.optim.AdamW(weights, lr=0.1, weight_decay=0.2)
    add_groups(optimizer, model)
    add_groups(optimizer, model)
    assert [len(group["params"]) for group in optimizer.param_groups] == [6, 3]


def test_the_plugin_refuses_a_quantized_model_and_a_layer_that_was_lost():
    benchmark = stream()
    made = strategy(benchmark, QuantizationPlugin())
    quantize_model(made.model)
    with pytest.raises(UserError, match="quantized already"):
        made.train(benchmark.train_stream[0])
    other = quantize_strategy(strategy(benchmark))
    other.model.backbone[1] = nn.Linear(6, 8)
    with pytest.raises(UserError, match=r"'backbone\.1' is no longer quantized"):
        other.train(benchmark.train_stream[0])


def test_the_state_of_other_settings_is_refused():
    state = QuantizationPlugin(weight_bits=4, skip=["a"]).state_dict()
    QuantizationPlugin(weight_bits=4, skip=("a",)).load_state_dict(state)
    with pytest.raises(UserError, match="use the same settings"):
        QuantizationPlugin(weight_bits=3, skip=["a"]).load_state_dict(state)


def test_the_training_of_a_dequantized_model_goes_on():
    benchmark = stream()
    made = quantize_strategy(strategy(benchmark), QuantizationPlugin(quantizer="lifequant"))
    made.train(benchmark.train_stream[0])
    dequantize_model(made.model)
    with pytest.raises(UserError, match="no longer quantized"):
        made.train(benchmark.train_stream[1])


class Penalty:
    """What a penalty adds to the loss, and to the gradients, of each iteration."""

    def __init__(self):
        self.found = []

    def after_forward(self, made, **unused):
        self.loss = made._criterion(made.mb_output, made.mb_y)

    def before_update(self, made, **unused):
        gradients = torch.autograd.grad(
            self.loss, list(made.model.parameters()), retain_graph=True, allow_unused=True
        )
        difference = 0.0
        for parameter, gradient in zip(made.model.parameters(), gradients, strict=True):
            task = torch.zeros_like(parameter) if gradient is None else gradient
            difference += float((parameter.grad - task).abs().sum())
        self.found.append(difference)


BASELINES = {
    "ewc": lambda: EWCPlugin(ewc_lambda=100.0),
    "mas": lambda: MASPlugin(lambda_reg=10.0),
    "rwalk": lambda: RWalkPlugin(strength=10.0, delta_t=1),
    "si": lambda: SIPlugin(strength=10.0),
    "l2": lambda: L2Plugin(strength=1.0),
}


@pytest.mark.parametrize("quantizer", ["lifequant", "lsq"])
@pytest.mark.parametrize("name", BASELINES)
def test_the_penalty_of_a_baseline_acts_on_a_quantized_network_from_the_second_task(
    name, quantizer
):
    benchmark = stream()
    quantization = QuantizationPlugin(quantizer=quantizer, weight_bits=3)
    penalty = Penalty()
    made = strategy(benchmark, quantization, BASELINES[name]())
    made.plugins.append(penalty)
    made.retain_graph = True
    train(made, benchmark)
    steps = len(penalty.found) // 3
    assert max(penalty.found[:steps]) < 1e-4
    assert min(penalty.found[2 * steps - 1], penalty.found[-1]) > 1e-3


def test_replay_mixes_into_quantized_training():
    benchmark = stream("class")
    made = strategy(benchmark, QuantizationPlugin(quantizer="dorefa"), ReplayPlugin(mem_size=6))
    train(made, benchmark)
    assert len(made.plugins[1].storage_policy.buffer) == 6
