"""ResNets and MobileNetV2: parameter counts of the papers, shapes, and low bits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.backbones.cifar_resnet import Padding
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.packing import pack_model, save_packed
from cl_strategies.registry import registry

CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)

#: name, classes, options -> parameters
COUNTS = [
    ("resnet20", 10, {}, 269_722),  # He et al., Table 6: 0.27M
    ("resnet56", 10, {}, 853_018),  # 0.85M
    ("resnet20", 10, {"shortcut": "projection"}, 272_474),  # AlignQ's
    ("resnet20", 100, {"shortcut": "projection"}, 278_324),  # LifeQuant's
    ("mobilenet-v2-cifar", 10, {}, 2_296_922),
    ("resnet18", 1000, {}, 11_689_512),
    ("resnet50", 1000, {}, 25_557_032),
    ("mobilenet-v2", 1000, {}, 3_504_872),
]
NAMES = sorted({name for name, *_ in COUNTS})


def build(name, shape=CIFAR, n_classes=10, scenario="class", **options):
    factory = registry("models")[name].load()
    return factory(input_shape=shape, n_classes=n_classes, scenario=scenario, **options)


@pytest.mark.parametrize(("name", "n_classes", "options", "expected"), COUNTS)
def test_a_network_has_the_parameters_of_its_paper(name, n_classes, options, expected):
    model = build(name, n_classes=n_classes, **options)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_cifar_networks_have_as_many_layers_as_their_name_says():
    for name, depth in (("resnet20", 20), ("resnet56", 56)):
        layers = [m for m in build(name).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(layers) == depth
    projected = build("resnet20", shortcut="projection").modules()
    assert sum(isinstance(m, nn.Conv2d) for m in projected) == 21


def test_a_shortcut_without_parameters_skips_pixels_and_adds_channels_of_zeros():
    x = torch.arange(2 * 2 * 4 * 4.0).reshape(2, 2, 4, 4)
    y = Padding(2)(x)
    assert y.shape == (2, 4, 2, 2)
    assert torch.equal(y[:, 1:3], x[:, :, ::2, ::2]) and not y[:, [0, 3]].any()


def test_a_bottleneck_is_one_layer_more_and_none_changes_nothing():
    torch.manual_seed(0)
    plain = build("resnet18", bottleneck=0)
    torch.manual_seed(0)
    before = build("resnet18")
    assert all(map(torch.equal, plain.state_dict().values(), before.state_dict().values()))
    for scenario in ("domain", "task"):
        model = build("resnet18", bottleneck=7, scenario=scenario).eval()
        with torch.no_grad():
            x = torch.rand(2, *CIFAR)
            features = model.backbone(x)
            model.backbone.fc = nn.Identity()
            assert features.shape == (2, 7) and bool((features < 0).any())  # no activation
            assert model.backbone(x).shape == (2, 512)
    with pytest.raises(UserError, match="bottleneck is -1"):
        build("resnet50", bottleneck=-1)
    entry = registry("models")["resnet18"]
    assert "bottleneck" not in entry.hashed_options(entry.resolve_options({}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [CIFAR, (1, 16, 16), (3, 40, 24)])
def test_images_of_any_size_and_number_of_channels_are_taken(name, shape):
    model = build(name, shape).eval()
    with torch.no_grad():
        assert model(torch.rand(2, *shape)).shape == (2, 10)


def test_resolution_falls_as_in_the_papers():
    for name, shape, expected in (
        ("resnet20", CIFAR, [32, 32, 16, 8]),
        ("mobilenet-v2-cifar", CIFAR, [32, 32, 32, 16, 8, 8, 4, 4]),
    ):
        model, sizes = build(name, shape), []
        x = torch.rand(2, *shape)
        for key, module in model.backbone.named_children():
            x = module(x)
            if key == "conv" or key.startswith("stage"):
                sizes.append(x.shape[-1])
        assert sizes == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_task_incremental_network_has_a_head_for_each_task(name):
    model = build(name, scenario="task")
    assert not list(model.head.heads)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quantizer", ["lsq", pytest.param("alignq", marks=pytest.mark.slow)])
def test_every_convolution_is_quantised_and_a_step_is_finite(name, quantizer):
    torch.manual_seed(0)
    model = quantize_model(build(name, (3, 16, 16)), quantizer=quantizer, weight_bits=4)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(quantized_layers(model)) == len(convolutions)
    nn.functional.cross_entropy(model(torch.rand(4, 3, 16, 16)), torch.arange(4)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert any(c.weight.grad.any() for c in convolutions)


@pytest.mark.parametrize("quantizer", ["lsq", "alignq", "lifequant", "dorefa", "pact", "apot"])
@pytest.mark.parametrize(("n_classes", "last_bits"), [(10, 32), (100, 8)])
def test_a_packed_4_bit_resnet20_takes_at_most_a_seventh_of_the_full_file(
    quantizer, n_classes, last_bits, tmp_path
):
    model = build("resnet20", n_classes=n_classes)
    torch.save(model.state_dict(), tmp_path / "full.pt")
    quantize_model(model, quantizer=quantizer, weight_bits=4, last_bits=last_bits)
    model(torch.rand(2, *CIFAR))
    size = save_packed(pack_model(model.eval()), tmp_path / "low.pt")
    assert size <= (tmp_path / "full.pt").stat().st_size / 7


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("resnet20", (64,), {}, "images"),
        ("resnet56", CIFAR, {"width": 0}, "width is 0"),
        ("resnet20", CIFAR, {"shortcut": "project"}, "did you mean projection"),
        ("mobilenet-v2-cifar", (64,), {}, "images"),
        ("resnet18", (64,), {}, "images"),
        ("resnet50", CIFAR, {"weights": "imagenett"}, "did you mean imagenet"),
        ("mobilenet-v2", (1, 32, 32), {"weights": "imagenet"}, "three channels"),
    ],
)
def test_what_cannot_be_built_is_refused(name, shape, options, message):
    with pytest.raises(UserError, match=message):
        build(name, shape, **options)


def test_weights_that_cannot_be_downloaded_are_an_error_that_says_so(monkeypatch, tmp_path):
    def refuse(*arguments, **_):
        raise OSError("no network in tests")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(UserError, match="resnet18 could not be downloaded.*set weights to none"):
        build("resnet18", weights="imagenet")


SMALLEST = {"lenet": (1, 28, 28), "slim-resnet18": CIFAR, "small-alexnet": CIFAR}


@pytest.mark.parametrize("quantizer", ["lsq", "alignq"])
@pytest.mark.parametrize("name", [entry.name for entry in registry("models")])
def test_every_registered_network_can_be_quantised(name, quantizer):
    model = build(name, SMALLEST.get(name, (1, 16, 16)))
    quantize_model(model, quantizer=quantizer, weight_bits=2, activation_bits=2)
    plain = [m for m in model.modules() if type(m) in (nn.Conv2d, nn.Linear)]
    assert len(plain) == 1  # the classifier
