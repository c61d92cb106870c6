"""AlignQ's ADMM plugin: any batch size, state, and what it does to the loss."""

import pytest
import torch
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization import functional as f
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.correlation import CorrelationPlugin, CorrelationState

FORMS = ["textbook", "released", "penalty"]


def stream(count=20):
    pieces = [(torch.randn(count, 1, 4, 4), torch.arange(count) % 3) for _ in range(2)]
    return build_benchmark(pieces, pieces, name="random", scenario="domain")


def network(quantizer="alignq", **options):
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    )
    return quantize_model(model, quantizer=quantizer, **options)


class Spy:
    def __init__(self):
        self.losses, self.sizes = [], []

    def before_backward(self, made, **unused):
        self.losses.append(float(made.loss) - float(made._criterion(made.mb_output, made.mb_y)))
        self.sizes.append(len(made.mb_x))


def strategy(plugin, model=None, batch=8, **options):
    model = model or network()
    return SupervisedTemplate(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=batch,
        train_epochs=2,
        eval_mb_size=64,
        plugins=[plugin],
        evaluator=None,
        **options,
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_term_is_in_the_loss_of_every_batch_whatever_its_size(form):
    benchmark = stream()
    plugin, spy = CorrelationPlugin(form=form), Spy()
    made = strategy(plugin)
    made.plugins.append(spy)
    made.train(benchmark.train_stream[0])
    assert spy.sizes == [8, 8, 4] * 2
    assert all(loss != 0 for loss in spy.losses[1:])
    made.eval(benchmark.test_stream)  # batches of 20
    assert not plugin._hooks and not plugin._differences
    for state in plugin.states.values():
        assert state.dual.shape == state.auxiliary.shape == (8, 8)
        assert state.dual.isfinite().all()


def test_nothing_is_learned_twice_and_nothing_reaches_the_optimizer():
    made = strategy(CorrelationPlugin())
    made.train(stream().train_stream[0])
    states = made.plugins[0].states
    assert set(states) == {"1.output_quantizer.alignment", "4.output_quantizer.alignment"}
    assert not any(list(state.parameters()) for state in states.values())
    placed = {id(p) for group in made.optimizer.param_groups for p in group["params"]}
    assert placed == {id(p) for p in made.model.parameters()}


def test_one_step_is_that_of_the_functional_form():
    state = CorrelationState("textbook")
    difference = torch.randn(4, 4)
    state.step(difference, mu=0.2, rho=0.3)
    zero = torch.zeros(4, 4)
    auxiliary, dual = f.admm_update(difference, zero, zero, mu=0.2, rho=0.3)
    assert torch.equal(state.auxiliary, auxiliary) and torch.equal(state.dual, dual)


def test_a_smaller_batch_uses_and_changes_the_upper_left_block():
    state = CorrelationState("released")
    state.block(torch.zeros(6, 6))
    before = state.dual.clone()
    _, dual = state.block(torch.zeros(4, 4))
    assert torch.equal(dual, before[:4, :4])
    state.step(torch.randn(4, 4), mu=0.2, rho=0.3)
    assert torch.equal(state.dual[4:], before[4:]) and torch.equal(state.dual[:, 4:], before[:, 4:])
    assert not torch.equal(state.dual[:4, :4], before[:4, :4])
    old = state.dual.clone()
    state.block(torch.zeros(9, 9))
    assert state.dual.shape == (9, 9) and torch.equal(state.dual[:6, :6], old)


def test_textbook_state_starts_at_zero_and_the_released_one_at_random():
    _, dual = CorrelationState("textbook").block(torch.zeros(5, 5))
    assert torch.equal(dual, torch.zeros(5, 5))
    _, dual = CorrelationState("released").block(torch.zeros(5, 5))
    assert dual.unique().numel() == 25 and dual.min() >= 0 and dual.max() <= 1


def test_the_difference_is_between_what_goes_into_a_quantizer_and_what_comes_out():
    for measured_on in ("aligned", "quantized"):
        plugin = CorrelationPlugin(form="penalty", measured_on=measured_on)
        model = network(activation_bits=2)
        made = strategy(plugin, model)
        plugin.before_training_exp(made)
        seen = {}
        model[1].output_quantizer.alignment.register_forward_hook(
            lambda module, inputs, output, seen=seen: seen.update(x=inputs[0], q=output)
        )
        model(torch.randn(6, 1, 4, 4))
        x, q = seen["x"], seen["q"]
        if measured_on == "aligned":
            q = 2 * torch.erf(x / 2**0.5)
        expected = f.correlation(q) - f.correlation(x)
        found = dict(plugin._differences)["1.output_quantizer.alignment"]
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("quantizer", ["uniform", "lsq", "lifequant"])
def test_any_quantizer_is_watched_by_what_it_puts_out(quantizer):
    plugin = CorrelationPlugin(form="penalty", measured_on="quantized")
    model = network(quantizer, activation_bits=2)
    made = strategy(plugin, model)
    plugin.before_training_exp(made)
    seen = {}
    model[4].input_quantizer.register_forward_hook(
        lambda module, inputs, output: seen.update(x=inputs[0], q=output)
    )
    model(torch.randn(6, 1, 4, 4))
    found = dict(plugin._differences)
    assert set(found) == {"4.input_quantizer"}  # the first and the last layer have none
    expected = f.correlation(seen["q"]) - f.correlation(seen["x"])
    torch.testing.assert_close(found["4.input_quantizer"], expected)
    assert found["4.input_quantizer"].requires_grad and expected.abs().amax() > 0.01


def test_a_batch_of_one_sample_is_trained():
    made = strategy(CorrelationPlugin(form="released"), batch=1)
    made.train(stream(3).train_stream[0])
    assert all(p.isfinite().all() for p in made.model.parameters())


def test_the_change_of_the_correlations_becomes_smaller():
    benchmark = stream(64)
    data = benchmark.train_stream[0].dataset
    x = torch.stack([data[row][0] for row in range(32)])
    results = []
    for strength in (0.0, 3.0):
        torch.manual_seed(1)
        plugin = CorrelationPlugin(form="penalty", strength=strength, mu=1.0)
        made = strategy(plugin, network(activation_bits=8), batch=32)
        made.train_epochs = 30
        made.train(benchmark.train_stream[0])
        plugin.before_training_exp(made)
        made.model(x)
        results.append(sum(float(d.detach().norm()) for _, d in plugin._differences))
    assert results[1] < 0.9 * results[0]


@pytest.mark.parametrize("form", FORMS)
def test_state_comes_back(form):
    benchmark = stream()
    plugin = CorrelationPlugin(form=form)
    strategy(plugin).train(benchmark.train_stream[0])
    state = plugin.state_dict()
    fresh = CorrelationPlugin(form=form)
    fresh.load_state_dict(state)
    for name, kept in plugin.states.items():
        assert torch.equal(fresh.states[name].dual, kept.dual)
        assert torch.equal(fresh.states[name].auxiliary, kept.auxiliary)
    assert set(fresh.states) == set(plugin.states)
    strategy(fresh).train(benchmark.train_stream[1])
    assert all(
        torch.equal(entry["dual"], plugin.states[name].dual)
        for name, entry in state["states"].items()
    )


def test_wrong_use_is_refused():
    with pytest.raises(UserError, match="textbook"):
        CorrelationPlugin(form="textbok")
    with pytest.raises(UserError, match="aligned"):
        CorrelationPlugin(measured_on="align")
    with pytest.raises(UserError, match="rho is 0: give a number above 0"):
        CorrelationPlugin(rho=0)
    with pytest.raises(UserError, match="no activations quantized by AlignQ"):
        strategy(CorrelationPlugin(), network("lsq")).train(stream().train_stream[0])
    with pytest.raises(UserError, match="'penalty'"):
        CorrelationPlugin(form="penalty").load_state_dict(
            CorrelationPlugin(form="textbook").state_dict()
        )
