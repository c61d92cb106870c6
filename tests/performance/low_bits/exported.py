"""A quantized ResNet-20 in onnxruntime, against the export of the same network in float32."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from loops import Data
from measurement import Measurement
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.param_groups import add_groups
from cl_strategies.plugins.quantization.onnx.export import export_onnx
from cl_strategies.plugins.quantization.onnx.integer_operators import integer_operators
from cl_strategies.registry import registry

SHAPE, BATCH, CALIBRATION = (3, 32, 32), 64, 256
#: Trained on images of a quarter of the size, for time; the network takes any size.
TRAINED_ON = 16
CASES = (("lsq", 8), ("pact", 8), ("uniform", 8), ("lsq", 4))
MOST_BYTES, LEAST_SPEED, LEAST_AGREEMENT, MOST_POINTS = 1 / 6, 1.3, 99.9, 0.2


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """Speed, bytes, agreement and accuracy of exports at 8 bits, and at 4."""
    train, test = (pictures(rows, TRAINED_ON) for rows in (data.x, data.test_x))
    plain = network()
    fit(plain, train, data.y, epochs=1, rate=0.1)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        float_file = export_onnx(plain.eval(), Path(folder) / "float.onnx", input_shape=SHAPE)
        for name, bits in CASES:
            model = network()
            model.load_state_dict(plain.state_dict())
            quantize_model(model, weight_bits=bits, activation_bits=bits, quantizer=name)
            part = slice(max(len(train) // 8, BATCH))
            fit(model, train[part], data.y[part], epochs=1, rate=0.01)
            path = Path(folder) / f"{name}.onnx"
            images, size = train[:CALIBRATION], train.shape[1:]
            export_onnx(model.eval(), path, input_shape=size, calibrate=images)
            title = f"ResNet-20 in onnxruntime, {name}, {bits} bits"
            figures += agreement(model, path, test, data.test_y, f"{name}-{bits}", title)
            figures.append(
                Measurement(
                    name=f"onnx-bytes-{name}-{bits}",
                    title=f"{title}: file / float32 file",
                    values=[path.stat().st_size / float_file.stat().st_size],
                    proof=f"{sum(integer_operators(path).values())} operators on integers",
                    most=MOST_BYTES if bits == 4 else None,
                )
            )
            large = _of_size(path, torch.Size(SHAPE))
            figures += speeds(float_file, large, f"{name}-{bits}", title, rounds, bits)
    return figures


def pictures(rows: Tensor, side: int) -> Tensor:
    """Gray images as rows of pixels -> ``(N, 3, side, side)``."""
    return F.interpolate(rows.view(-1, 1, 28, 28), side, mode="area").expand(-1, 3, -1, -1)


def network() -> nn.Module:
    torch.manual_seed(0)
    make: Any = registry("models")["resnet20"].load()
    network: nn.Module = make(
        input_shape=SHAPE, n_classes=10, scenario="class", shortcut="projection"
    )
    return network


def fit(model: nn.Module, x: Tensor, y: Tensor, *, epochs: int, rate: float) -> None:
    """Train with a rate that falls to zero."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=1e-4)
    add_groups(optimizer, model)
    first = [group["lr"] for group in optimizer.param_groups]
    steps = epochs * (len(x) // BATCH)
    rows = torch.cat([torch.randperm(len(x)) for _ in range(epochs)])
    model.train()
    for step in range(steps):
        for group, start in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = start * (1 + math.cos(math.pi * step / steps)) / 2
        chosen = rows[step * BATCH : (step + 1) * BATCH]
        optimizer.zero_grad()
        F.cross_entropy(model(x[chosen]), y[chosen]).backward()
        optimizer.step()


def session(path: Path, threads: int) -> Any:
    """onnxruntime on so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def agreement(
    model: nn.Module,
    path: Path,
    x: Tensor,
    y: Tensor,
    name: str,
    title: str,
    *,
    met: bool = False,
) -> list[Measurement]:
    """Equal predictions of network and file, and the difference of their accuracies.

    :param met: whether predictions have a target: those of a network that is trained to the end.
    """
    run = session(path, 1).run
    parts = x.split(250)
    found = torch.cat([torch.from_numpy(run(None, {"input": p.numpy()})[0]) for p in parts])
    with torch.no_grad():
        expected = torch.cat([model(part) for part in parts])
    same = (found.argmax(1) == expected.argmax(1)).double().mean()
    right = [(logits.argmax(1) == y).double().mean() for logits in (expected, found)]
    proof = f"accuracy {100 * right[0]:.2f} %, of the file {100 * right[1]:.2f} %"
    return [
        Measurement(
            name=f"onnx-agreement-{name}",
            title=f"{title}: equal predictions on {len(x)} test images",
            values=[float(100 * same)],
            unit="%",
            proof=proof,
            least=LEAST_AGREEMENT if met else None,
        ),
        Measurement(
            name=f"onnx-accuracy-{name}",
            title=f"{title}: accuracy of the network above that of the file",
            values=[float(100 * (right[0] - right[1]))],
            unit="points",
            proof=proof,
            most=MOST_POINTS if name.endswith("8") else None,
        ),
    ]


def _of_size(path: Path, size: torch.Size) -> Path:
    """The same file, for images of another size."""
    import onnx

    made = onnx.load(str(path))
    dims = made.graph.input[0].type.tensor_type.shape.dim
    for dim, wanted in zip(list(dims)[1:], size, strict=True):
        dim.dim_value = wanted
    other = path.with_suffix(".large.onnx")
    onnx.save(made, str(other))
    return other


def speeds(
    reference: Path, path: Path, name: str, title: str, rounds: int, bits: int
) -> list[Measurement]:
    """Time of the float32 file over that of the quantized one, in turns."""
    figures = []
    for threads in (1, 2):
        both = session(reference, threads), session(path, threads)
        for batch in (1, 32):
            x = {"input": torch.rand(batch, *SHAPE).numpy()}
            ratios = []
            for _ in range(2 * rounds + 1):
                slow, fast = (_seconds(one, x, 64 // batch) for one in both)
                ratios.append(slow / fast)
            figures.append(
                Measurement(
                    name=f"onnx-speed-{name}-{threads}-{batch}",
                    title=f"{title}: float32 / integers, batch {batch}, threads: {threads}",
                    values=ratios[1:],  # the first is for caches
                    proof=f"{sum(integer_operators(path).values())} operators on integers",
                    least=LEAST_SPEED if bits == 8 else None,
                )
            )
    return figures


def _seconds(session: Any, x: Any, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        session.run(None, x)
    return time.perf_counter() - start
