"""The strategy AlignQ."""

import io

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.correlation import CorrelationPlugin
from cl_strategies.registry import registry
from cl_strategies.strategies.alignq import AlignQ


def stream(scenario="class", **options):
    make = registry("benchmarks")["split-digits"].load()
    return make(**{"n_experiences": 3, "scenario": scenario, "fraction": 0.2, **options})


def build(benchmark, lr=0.05, epochs=1, **options):
    info = benchmark.info
    torch.manual_seed(7)
    model = registry("models")["cnn"].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        channels=[4, 8],
        hidden=16,
    )
    return AlignQ(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9),
        train_mb_size=16,
        train_epochs=epochs,
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


def experience(made, benchmark, position):
    torch.manual_seed(100 + position)
    made.train(benchmark.train_stream[position])
    made.eval(benchmark.test_stream[: position + 1])


@pytest.mark.parametrize("correlation", ["textbook", "released", "penalty", "none"])
@pytest.mark.parametrize("scenario", ["class", "task", "domain"])
def test_it_trains_with_exactly_as_many_levels_as_asked_for(scenario, correlation):
    benchmark = stream(scenario)
    made = build(benchmark, weight_bits=2, activation_bits=3, correlation=correlation)
    for position in range(3):
        experience(made, benchmark, position)
    layers = quantized_layers(made.model)
    assert list(layers) == ["backbone.0", "backbone.3", "backbone.7"]
    for layer in layers.values():
        assert len(layer.quantized_weight().unique()) == 4
        assert layer.output_quantizer.bits == 3
    assert any(isinstance(p, CorrelationPlugin) for p in made.plugins) == (correlation != "none")


def test_it_is_resumed_bit_for_bit():
    benchmark = stream("task")
    for correlation in ("textbook", "released"):
        whole, first, second = (build(benchmark, correlation=correlation) for _ in range(3))
        for position in range(3):
            experience(whole, benchmark, position)
        for position in range(2):
            experience(first, benchmark, position)
        file = io.BytesIO()
        torch.save(capture_state(first), file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
        restore_state(second, state, experiences_seen=list(benchmark.train_stream[:2]))
        experience(second, benchmark, 2)
        expected = whole.model.state_dict()
        for key, value in second.model.state_dict().items():
            assert torch.equal(value, expected[key])
        plugins = [made.plugins[1].state_dict()["states"] for made in (whole, second)]
        for name, state in plugins[0].items():
            assert torch.equal(state["dual"], plugins[1][name]["dual"])


def test_without_alignment_it_is_uniform_quantization_with_the_same_second_part():
    benchmark = stream()
    kept = build(benchmark, alignment=False, measured_on="quantized")
    plain = build(benchmark, alignment=False, correlation="none")
    for made in (kept, plain):
        experience(made, benchmark, 0)
        assert {type(m).__name__ for m in made.model.modules()} >= {"UniformActivation"}
    (plugin,) = (p for p in kept.plugins if isinstance(p, CorrelationPlugin))
    assert set(plugin.states) == {"backbone.3.input_quantizer", "backbone.7.input_quantizer"}
    weights = [made.model.state_dict()["backbone.3.weight"] for made in (kept, plain)]
    assert (weights[0] - weights[1]).abs().amax() > 1e-4


def test_released_levels_need_a_bit_more():
    made = build(stream(), weight_bits=2, levels="released")
    layer = quantized_layers(made.model)["backbone.7"]
    assert 4 < len(layer.quantized_weight().unique()) <= 7


@pytest.mark.slow
def test_it_learns_at_four_bits():
    benchmark = stream(n_experiences=1, fraction=0.5)
    made = build(benchmark, lr=0.01, epochs=12)
    experience(made, benchmark, 0)
    data = benchmark.test_stream[0].dataset
    x = torch.stack([data[row][0] for row in range(len(data))])
    made.model.eval()
    with torch.no_grad():
        accuracy = (made.model(x).argmax(1) == torch.tensor(list(data.targets))).float().mean()
    assert accuracy > 0.85


def test_options_out_of_range_are_refused():
    benchmark = stream()
    with pytest.raises(UserError, match="did you mean textbook"):
        build(benchmark, correlation="text-book")
    with pytest.raises(UserError, match="levels"):
        build(benchmark, levels="exactly")
    with pytest.raises(UserError, match="act_range"):
        build(benchmark, act_range=0.0)
    with pytest.raises(UserError, match="weight_bits"):
        build(benchmark, weight_bits=9)
    with pytest.raises(UserError, match="give measured_on='quantized'"):
        build(benchmark, alignment=False)
    made = build(benchmark, activation_bits=32)
    with pytest.raises(UserError, match="fewer than 32 activation bits"):
        made.train(benchmark.train_stream[0])
