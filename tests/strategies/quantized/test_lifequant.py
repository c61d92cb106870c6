"""The strategy LifeQuant."""

import io

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state, state_bytes
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.plugin import QuantizationPlugin, quantize_strategy
from cl_strategies.registry import registry
from cl_strategies.strategies.lifequant import LifeQuant
from cl_strategies.strategies.naive import Naive


def stream(scenario="class", **options):
    make = registry("benchmarks")["split-digits"].load()
    return make(**{"n_experiences": 3, "scenario": scenario, "fraction": 0.2, **options})


def build(benchmark, kind=LifeQuant, head="auto", epochs=1, **options):
    info = benchmark.info
    torch.manual_seed(7)
    model = registry("models")["mlp"].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        hidden=[32, 32],
        head=head,
    )
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=16,
        train_epochs=epochs,
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


def experience(made, benchmark, position):
    torch.manual_seed(100 + position)
    made.train(benchmark.train_stream[position])
    made.eval(benchmark.test_stream[: position + 1])


def run(made, benchmark):
    for position in range(len(benchmark.train_stream)):
        experience(made, benchmark, position)
    return made


def accuracies(made, benchmark):
    """Of each test experience, with the model as it is."""
    found = []
    made.model.eval()
    for test in benchmark.test_stream:
        data = test.dataset.eval()
        x = torch.stack([data[row][0] for row in range(len(data))])
        with torch.no_grad():
            hits = made.model(x).argmax(1) == torch.tensor(list(data.targets))
        found.append(float(hits.float().mean()))
    return found


@pytest.mark.parametrize("penalty_form", ["standard", "released"])
@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_it_trains_with_as_many_levels_as_asked_for(scenario, penalty_form):
    benchmark = stream(scenario, n_experiences=5)
    made = build(benchmark, weight_bits=3, penalty_form=penalty_form, importance_samples=20)
    run(made, benchmark)
    for layer in quantized_layers(made.model).values():
        assert len(layer.quantized_weight().unique()) == 8
    assert made.penalty.experiences == 5


@pytest.mark.parametrize("head", ["auto", "growing"])
def test_it_is_resumed_bit_for_bit(head):
    benchmark = stream()
    options = {"head": head, "importance_samples": 20}
    whole, first, second = (build(benchmark, **options) for _ in range(3))
    run(whole, benchmark)
    for position in range(2):
        experience(first, benchmark, position)
    file = io.BytesIO()
    torch.save(capture_state(first), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    restore_state(second, state, experiences_seen=list(benchmark.train_stream[:2]))
    assert state_bytes(second) == state_bytes(first)
    experience(second, benchmark, 2)
    expected = whole.model.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in second.model.state_dict().items())
    importances = second.penalty.importance
    assert all(torch.equal(v, importances[k]) for k, v in whole.penalty.importance.items())


def test_the_state_counts_importances_and_stored_images():
    benchmark = stream()
    made = build(benchmark, importance_samples=8)
    experience(made, benchmark, 0)
    replayed = sum(
        len(data) for plugin in made.plugins for data in getattr(plugin, "data", {}).values()
    )
    parameters = sum(p.numel() for p in made.model.parameters())
    images = replayed * (64 * 4 + 8)
    assert replayed > 0
    assert state_bytes(made) - images - 2 * 4 * parameters in range(8 * 10 + 1)  # class counts


@pytest.mark.parametrize("bits", [pytest.param(4, marks=pytest.mark.slow), 2])
def test_it_forgets_less_than_fine_tuning_of_the_same_network(bits):
    benchmark = stream(n_experiences=5, fraction=0.5)
    options = {"epochs": 6}
    plugin = QuantizationPlugin(quantizer="lifequant", weight_bits=bits, activation_bits=bits)
    naive = quantize_strategy(build(benchmark, Naive, **options), plugin)
    lifequant = build(
        benchmark, weight_bits=bits, activation_bits=bits, importance_samples=64, **options
    )
    old = [sum(accuracies(run(made, benchmark), benchmark)[:-1]) / 4 for made in (naive, lifequant)]
    assert old[1] > old[0] + 0.2


@pytest.mark.slow
def test_the_penalty_alone_forgets_less():
    benchmark = registry("benchmarks")["rotated-digits"].load()(
        n_experiences=3, scenario="domain", fraction=0.3
    )
    old = []
    for strength in (0.0, 20.0):
        made = build(
            benchmark,
            epochs=8,
            strength=strength,
            replay_ratio=0.0,
            ball_form="none",
            importance_samples=128,
        )
        old.append(accuracies(run(made, benchmark), benchmark)[0])
    assert old[1] > old[0] + 0.03


def test_every_form_of_the_balanced_loss_trains():
    benchmark = stream()
    for form in ("probability", "logit", "released", "prior", "none"):
        made = run(build(benchmark, ball_form=form, importance_samples=4), benchmark)
        assert all(p.isfinite().all() for p in made.model.parameters())


def test_a_task_incremental_stream_is_refused():
    benchmark = stream("task")
    made = build(benchmark, importance_samples=4)
    with pytest.raises(UserError, match="class- or domain-incremental"):
        run(made, benchmark)


def test_options_out_of_range_are_refused():
    benchmark = stream()
    for options, message in (
        ({"ball_form": "probable"}, "probability"),
        ({"penalty_form": "standart"}, "standard"),
        ({"replay_ratio": 1.2}, "from 0 to 1"),
        ({"strength": -1.0}, "strength is -1.0"),
        ({"alpha": 0.0}, "alpha is 0.0: give a number above 0"),
        ({"activation_bits": 16}, "activation_bits"),
        ({"importance_samples": 0}, "importance_samples is 0"),
    ):
        with pytest.raises(UserError, match=message):
            build(benchmark, **options)
