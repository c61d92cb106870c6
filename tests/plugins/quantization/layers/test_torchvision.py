"""Networks of torchvision quantize fully, train, resume and pack."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import efficientnet_b0, mobilenet_v3_small, vit_b_16
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.vision_transformer import VisionTransformer

from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.measures import layer_table
from cl_strategies.plugins.quantization.conversion.packing import load_packed, pack_model
from cl_strategies.plugins.quantization.conversion.param_groups import add_groups

SIZE = 16


def vit():
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32, "num_classes": 4}
    return VisionTransformer(image_size=SIZE, patch_size=4, **sizes)


def mobilenet():
    """Two blocks of MobileNetV3-small: with squeeze and excitation, ReLU and Hardswish."""
    block = partial(InvertedResidualConfig, width_mult=0.5)
    blocks = [block(16, 3, 16, 16, True, "RE", 1, 1), block(16, 5, 48, 16, True, "HS", 1, 1)]
    return MobileNetV3(blocks, last_channel=32, num_classes=4)


def efficientnet():
    """Two blocks of EfficientNet-b0: SiLU, squeeze and excitation, stochastic depth."""
    block = partial(MBConvConfig, width_mult=0.25, depth_mult=1.0)
    return EfficientNet(
        [block(1, 3, 1, 32, 32, 1), block(4, 5, 2, 32, 48, 1)], 0.0, num_classes=4, last_channel=32
    )


#: Network, layers at full precision, layers with an offset after an activation of both signs.
NETWORKS = {"vit": vit, "mobilenet": mobilenet, "efficientnet": efficientnet}
SKIPPED = {"vit": ["heads.head"], "mobilenet": ["classifier.3"], "efficientnet": ["classifier.1"]}


def step(model, optimizer, seed):
    torch.manual_seed(seed)
    y = torch.arange(16) % 4
    patterns = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    x = patterns[y] + 0.3 * torch.randn(16, 3, SIZE, SIZE)
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model.train()(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def prepared(name):
    torch.manual_seed(0)
    model = NETWORKS[name]()
    options = {} if name == "vit" else {"fold_norms": name == "efficientnet"}
    quantize_model(model, quantizer="lsq-plus", **options)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    add_groups(optimizer, model)
    return model, optimizer


@pytest.mark.parametrize("name", NETWORKS)
def test_they_quantize_fully_train_resume_and_pack(name):
    model, optimizer = prepared(name)
    rows = {row["layer"]: row for row in layer_table(model)}
    assert [layer for layer, row in rows.items() if row["weight_bits"] == 32] == SKIPPED[name]
    plain_inputs = [layer for layer, row in rows.items() if row["input_bits"] == 32]
    assert len(plain_inputs) == 2  # the first layer's, and the last's
    losses = [step(model, optimizer, seed) for seed in range(8)]
    assert sum(losses[-3:]) < sum(losses[:3])
    again, other = prepared(name)
    again.load_state_dict(copy.deepcopy(model.state_dict()))
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert step(model, optimizer, 20) == step(again, other, 20)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    x = torch.randn(5, 3, SIZE, SIZE)
    fresh = prepared(name)[0].eval()
    assert torch.equal(load_packed(fresh, pack_model(model))(x), model.eval()(x))


def test_grids_follow_the_activations():
    model = prepared("mobilenet")[0]
    given = {
        name: layer.input_quantizer.given
        for name, layer in quantized_layers(model).items()
        if layer.input_quantizer is not None
    }
    assert given["features.1.block.0.0"] is True  # Hardswish of the stem
    assert given["features.1.block.1.fc1"] is False and given["features.1.block.2.0"] is False
    assert given["features.2.block.2.fc1"] is True and given["features.2.block.3.0"] is True
    assert given["classifier.0"] is True


@pytest.mark.slow
@pytest.mark.parametrize("build", [vit_b_16, mobilenet_v3_small, efficientnet_b0])
def test_the_published_sizes_quantize_and_train(build):
    model = build(num_classes=4)
    layers = sum(isinstance(m, nn.Linear | nn.Conv2d) for m in model.modules())
    layers += sum(isinstance(m, nn.MultiheadAttention) for m in model.modules())
    quantize_model(model, quantizer="lsq-plus")
    assert len(quantized_layers(model)) == layers - 1
    size = 224 if build is vit_b_16 else 32
    loss = nn.functional.cross_entropy(model(torch.randn(2, 3, size, size)), torch.arange(2))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
