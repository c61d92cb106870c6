"""Predictions of exported 8-bit networks that were trained until their rate is zero."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from loops import Data
from low_bits.exported import CALIBRATION, agreement, fit, network
from measurement import Measurement
from torch import Tensor
from torch.nn import functional as F

from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.onnx.export import export_onnx

SIDE, EPOCHS, QUANTIZED_EPOCHS = 16, 12, 3
QUANTIZERS = ("lsq", "pact", "uniform")
SHIFTS = [(down, right) for down in (0, 1, -1) for right in (0, 1, -1)]


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """Equal predictions and accuracy on scikit-learn's digits, each in nine positions.

    :param data: not used: these networks shall be trained to the end, in a minute.
    :param rounds: not used: nothing is timed.
    """
    digits = load_dataset("digits")
    train, test = (_pictures(part.x) for part in (digits.train, digits.test))
    y, test_y = (torch.from_numpy(part.labels).long() for part in (digits.train, digits.test))
    test, test_y = torch.cat([_shifted(test, *by) for by in SHIFTS]), test_y.repeat(len(SHIFTS))
    plain = network()
    fit(plain, *_moved(train, y, EPOCHS), epochs=1, rate=0.1)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name in QUANTIZERS:
            model = network()
            model.load_state_dict(plain.state_dict())
            quantize_model(model, weight_bits=8, activation_bits=8, quantizer=name)
            fit(model, *_moved(train, y, QUANTIZED_EPOCHS), epochs=1, rate=0.01)
            path = Path(folder) / f"{name}.onnx"
            images = train[:CALIBRATION]
            export_onnx(model.eval(), path, input_shape=train.shape[1:], calibrate=images)
            title = f"ResNet-20 trained on digits, {name}, 8 bits"
            figures += agreement(model, path, test, test_y, f"trained-{name}-8", title, met=True)
    return figures


def _pictures(x: Tensor) -> Tensor:
    """Digits ``(N, 1, 8, 8)`` -> ``(N, 3, SIDE, SIDE)``."""
    return F.interpolate(x.float(), SIDE, mode="bilinear").expand(-1, 3, -1, -1).contiguous()


def _shifted(x: Tensor, down: int, right: int) -> Tensor:
    """The images, moved by one pixel."""
    wide = F.pad(x, (1, 1, 1, 1))
    return wide[:, :, 1 + down : 1 + down + SIDE, 1 + right : 1 + right + SIDE]


def _moved(x: Tensor, y: Tensor, epochs: int) -> tuple[Tensor, Tensor]:
    """Epochs of the images, each moved by chance."""
    parts = []
    for _ in range(epochs):
        by = torch.randint(len(SHIFTS), (len(x),))
        found = torch.empty_like(x)
        for number, shift in enumerate(SHIFTS):
            found[by == number] = _shifted(x[by == number], *shift)
        parts.append(found)
    return torch.cat(parts), y.repeat(epochs)
