"""Quantizers as modules: state, initialization, loading, codes."""

import copy
import pickle

import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.rounding import continuous
from cl_strategies.plugins.quantization.quantizers.alignq import AlignQScheme
from cl_strategies.plugins.quantization.quantizers.dorefa import DoReFa
from cl_strategies.plugins.quantization.quantizers.lsq import LSQ
from cl_strategies.plugins.quantization.quantizers.pact import PACT
from cl_strategies.plugins.quantization.quantizers.scheme import SCHEMES, scheme
from cl_strategies.plugins.quantization.quantizers.uniform import Uniform
from cl_strategies.registry import Entry

SHAPE = (6, 3, 3, 3)


def weight_quantizer(name, bits, rescale=False):
    quantizer = scheme(name).weight(bits, shape=SHAPE, rescale=rescale)
    quantizer.prepare(torch.randn(SHAPE))
    return quantizer


def activation_quantizer(name, bits, features=None):
    return scheme(name).activation(bits, features=features)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("name", SCHEMES)
def test_codes_decode_to_the_quantized_weights_exactly(name, rescale):
    for bits in range(1, 9):
        quantizer = weight_quantizer(name, bits, rescale)
        w = torch.randn(SHAPE)
        encoded = quantizer.encode(w)
        assert encoded.codes.dtype == torch.uint8 and int(encoded.codes.max()) < 2**bits
        assert torch.equal(quantizer.decode(encoded), quantizer(w))


@pytest.mark.parametrize("name", SCHEMES)
def test_weights_and_activations_stay_finite_in_corner_cases(name):
    for bits in (1, 2, 4, 8):
        for w in (torch.full(SHAPE, 0.1), torch.zeros(SHAPE), torch.zeros(0, 3, 3, 3)):
            quantizer = scheme(name).weight(bits, shape=w.shape, rescale=True)
            assert quantizer(w).isfinite().all()
        for x in (torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.1), torch.zeros(0, 3, 4, 4)):
            for features in (None, 3):
                quantizer = activation_quantizer(name, bits, features)
                assert quantizer(x).isfinite().all()
                assert quantizer.eval()(x).isfinite().all()


@pytest.mark.parametrize("name", SCHEMES)
def test_two_batches_of_one_step_have_gradients(name):
    quantizer = activation_quantizer(name, 4)
    first, second = (torch.randn(8, 5, 2, 2).abs().requires_grad_() for _ in range(2))
    alone = copy.deepcopy(quantizer)(first)
    together = quantizer(first), quantizer(3 * second)
    assert torch.equal(together[0], alone)
    (expected,) = torch.autograd.grad(alone.square().sum(), first)
    found, other = torch.autograd.grad(sum(x.square().sum() for x in together), (first, second))
    assert torch.equal(found, expected) and other.abs().sum() > 0


@pytest.mark.parametrize("name", SCHEMES)
def test_evaluation_does_not_depend_on_the_batch(name):
    quantizer = activation_quantizer(name, 3, features=5)
    for _ in range(3):
        quantizer(torch.randn(8, 5, 2, 2))
    x = 2 * torch.randn(8, 5, 2, 2)
    quantizer.eval()
    before = copy.deepcopy(quantizer.state_dict())
    parts = torch.cat([quantizer(x[:1]), quantizer(x[1:5]), quantizer(x[5:])])
    torch.testing.assert_close(quantizer(x), parts, rtol=0, atol=0)
    for key, value in quantizer.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("name", SCHEMES)
def test_full_precision_modules_pass_everything_through(name):
    w, x = torch.randn(SHAPE), torch.randn(4, 3)
    assert scheme(name).weight(32, shape=SHAPE, rescale=True)(w) is w
    assert activation_quantizer(name, 32)(x) is x


@pytest.mark.parametrize("name", SCHEMES)
def test_a_registered_scheme_can_be_an_entry_of_the_package_registry(name):
    entry = Entry(name=name, factory=SCHEMES[name], summary="")
    assert entry.load().name == name
    made = entry.load()(**entry.resolve_options({}))
    assert made.weight(4, shape=SHAPE, rescale=False).bits == 4


def test_unknown_schemes_are_refused():
    with pytest.raises(UserError, match="did you mean lsq"):
        scheme("lsqq")
    with pytest.raises(UserError, match="give a name"):
        scheme(LSQ)


LEARNING = [
    lambda: weight_quantizer("lsq", 4),
    lambda: activation_quantizer("lsq", 4),
    lambda: PACT(alpha=2.0).activation(4, features=None),
    lambda: activation_quantizer("apot", 4),
    lambda: activation_quantizer("llsq", 4),
    lambda: weight_quantizer("apot", 4),
    lambda: weight_quantizer("llsq", 2),
]


@pytest.mark.parametrize("make", LEARNING)
def test_what_is_learned_is_a_named_parameter_that_a_step_changes(make):
    quantizer = make()
    x = 3 * torch.randn(SHAPE)
    quantizer(x)
    parameters = dict(quantizer.named_parameters())
    assert len(parameters) == 1
    before = {name: p.detach().clone() for name, p in parameters.items()}
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.1)
    (quantizer(x) - x).square().sum().backward()
    optimizer.step()
    for name, parameter in parameters.items():
        assert not torch.equal(parameter, before[name])


def test_lsq_starts_from_its_first_batch():
    quantizer = activation_quantizer("lsq", 4)
    x = torch.rand(100)
    quantizer(x)
    torch.testing.assert_close(quantizer.step.detach(), 2 * x.mean() / 15**0.5)
    quantizer(100 * x)
    torch.testing.assert_close(quantizer.step.detach(), 2 * x.mean() / 15**0.5)


def test_lsq_steps_of_channels_start_from_their_weights():
    w = torch.randn(SHAPE) * torch.arange(1.0, 7).view(6, 1, 1, 1)
    quantizer = LSQ(per_channel=True).weight(3, shape=SHAPE, rescale=False)
    quantizer(w)
    expected = 2 * w.abs().mean((1, 2, 3)) / 3**0.5
    torch.testing.assert_close(quantizer.step.detach().flatten(), expected)


@pytest.mark.parametrize("kind", [LSQ, DoReFa, PACT])
def test_the_sign_of_activations_is_found_in_the_first_batch_or_given(kind):
    positive, both = torch.rand(50), torch.randn(50)
    assert kind().activation(4, features=None)(positive).min() >= 0
    assert kind().activation(4, features=None)(both).min() < 0
    assert kind(signed=False).activation(4, features=None)(both).min() == 0
    unsigned = kind().activation(4, features=None)
    unsigned(positive)
    assert unsigned(both).min() == 0


def test_pact_starts_where_it_is_told_to():
    quantizer = PACT(alpha=10.0).activation(4, features=None)
    assert quantizer(torch.rand(9)).isfinite().all() and quantizer.alpha.item() == 10.0


def test_uniform_ranges_follow_batches_without_exploding():
    quantizer = activation_quantizer("uniform", 4)
    x = torch.rand(64) * 3.72
    for _ in range(50):
        quantizer(x)
    torch.testing.assert_close(quantizer.high, x.max())
    assert float(quantizer.low) == 0
    quantizer(2 * x)
    torch.testing.assert_close(quantizer.high, 1.1 * x.max())


def test_uniform_grids_around_zero_contain_zero():
    quantizer = Uniform(symmetric=True).activation(3, features=None)
    assert 0 in quantizer(torch.randn(1000)).unique()


def test_evaluating_before_any_training_is_full_precision_with_a_warning():
    quantizer = activation_quantizer("lsq", 4).eval()
    x = torch.randn(8)
    with pytest.warns(UserWarning, match="no training batch yet"):
        assert torch.equal(quantizer(x), x)
    assert not quantizer.is_ready


@pytest.mark.parametrize("name", SCHEMES)
def test_state_survives_saving_copying_and_pickling(name, tmp_path):
    quantizer = activation_quantizer(name, 3, features=4)
    for _ in range(2):
        quantizer(torch.rand(6, 4))
    x = torch.randn(6, 4)
    expected = quantizer.eval()(x)
    torch.save(quantizer.state_dict(), tmp_path / "state.pt")
    fresh = activation_quantizer(name, 3, features=4).eval()
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(fresh(x), expected)
    assert torch.equal(copy.deepcopy(quantizer)(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(quantizer))(x), expected)


def test_a_state_replaces_what_was_found_before():
    one, other = activation_quantizer("lsq", 4), activation_quantizer("lsq", 4)
    one(torch.rand(9))
    other(torch.randn(9))
    one.load_state_dict(other.state_dict())
    x = torch.randn(9)
    assert torch.equal(one.eval()(x), other.eval()(x))


def test_another_bit_width_or_another_quantizer_is_refused():
    state = LSQ().weight(4, shape=SHAPE, rescale=False).state_dict()
    with pytest.raises(UserError, match="'lsq weight 4 bits.*'lsq weight 3 bits"):
        LSQ().weight(3, shape=SHAPE, rescale=False).load_state_dict(state)
    with pytest.raises(UserError, match="llsq weight"):
        scheme("llsq").weight(4, shape=SHAPE, rescale=False).load_state_dict(state)
    with pytest.raises(UserError, match="rescale=True"):
        weight_quantizer("alignq", 4).load_state_dict(
            weight_quantizer("alignq", 4, True).state_dict()
        )


def test_the_state_of_an_earlier_version_is_read():
    """It said ``normalize``, and a number as it was given: 2 for 2.0."""
    made = activation_quantizer("alignq", 4, features=3)
    made(torch.randn(8, 3))
    state = made.state_dict()
    text = bytes(state["format"].tolist()).decode()
    older = text.replace("normalize", "normalize").replace("=2.0", "=2")
    assert older != text
    state["format"] = torch.tensor(list(older.encode()), dtype=torch.uint8)
    fresh = activation_quantizer("alignq", 4, features=3)
    fresh.load_state_dict(state)
    assert torch.equal(fresh.mean, made.mean) and fresh.extra_repr() == text
    other = AlignQScheme(act_range=3).activation(4, features=3)
    with pytest.raises(UserError, match="act_range=2, .*act_range=3.0"):
        other.load_state_dict(state)


def test_a_released_form_cannot_be_encoded():
    for name, options in (("alignq", {"levels": "released"}), ("lifequant", {"clamp": False})):
        kind = Entry(name=name, factory=SCHEMES[name], summary="").load()
        quantizer = kind(**options).weight(4, shape=SHAPE, rescale=False)
        with pytest.raises(UserError, match="more than 16 levels"):
            quantizer.encode(torch.randn(SHAPE))
    with pytest.raises(UserError, match="no codes"):
        scheme("lsq").weight(32, shape=SHAPE, rescale=False).encode(torch.randn(SHAPE))


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_quantized_in_float32(name, dtype):
    quantizer = activation_quantizer(name, 8)
    x = torch.rand(50).to(dtype)
    assert quantizer(x).dtype == dtype
    expected = quantizer.eval()(x.float()).to(dtype)
    assert torch.equal(quantizer(x), expected)


@pytest.mark.parametrize("name", ["alignq", "lifequant", "apot", "dorefa"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_rescaled_levels_have_the_magnitude_of_the_weights(name, bits):
    w = 0.005 * torch.randn(64, 32, 3, 3)
    quantizer = scheme(name).weight(bits, shape=w.shape, rescale=True)
    assert 0.6 < float(quantizer(w).std() / w.std()) < 2.1
    scaled = quantizer(3 * w).std() / quantizer(w).std()
    assert abs(float(scaled) - 3) < 0.1


def test_alignment_without_a_batchnorm_normalizes_by_moving_statistics():
    quantizer = activation_quantizer("alignq", 8, features=3)
    x = torch.randn(400, 3, 2, 2) * 5 + 2
    for _ in range(100):
        quantizer(x)
    torch.testing.assert_close(quantizer.mean, x.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    quantizer.eval()
    with continuous():
        spread = quantizer(x).flatten().sort().values
    assert abs(float(spread.mean())) < 0.02 and abs(float(spread.std()) - 2 / 3**0.5) < 0.02
    single = activation_quantizer("alignq", 4, features=3)
    assert single(torch.randn(1, 3)).isfinite().all()  # one value per channel, in training
