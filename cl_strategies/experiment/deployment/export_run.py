"""Export of the quantized network of a finished run, and a check of the file."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.deployment import brevitas_twin
from cl_strategies.experiment.deployment.restored import FinishedRun, restore_run
from cl_strategies.experiment.deployment.runtime import (
    Session,
    onnxruntime,
    speedup,
    times_in_turns,
)
from cl_strategies.experiment.deployment.samples import calibration_images, samples_of
from cl_strategies.io.links import check_no_link
from cl_strategies.plugins.features.generators import isolated_rng
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.quantization.calibrated_copy import evaluated_model
from cl_strategies.plugins.quantization.conversion.convert import dequantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.onnx.export import export_onnx
from cl_strategies.results.derived import fingerprint
from cl_strategies.results.export import FILE as EXPORT
from cl_strategies.results.export import Exported

FILE = "model.onnx"
_CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class ExportedRun:
    """What was written.

    :param file: the exported network.
    :param checked: what was measured of it; ``None`` without a check.
    """

    file: Path
    checked: Exported | None


def export_run(
    folder: Path | str,
    *,
    task: int | None = None,
    check: bool = False,
    data_root: str | None = None,
    batch: int = 1,
) -> ExportedRun:
    """Write the quantized network of a finished run to ``model.onnx`` in its directory.

    :param folder: directory of the run.
    :param task: task label whose head to take, of a network with a head per task.
    :param check: whether to run the test stream through the file, time it, and write
        ``export.json``. A check of an earlier file is deleted in any case.
    :param data_root: folder of data sets.
    :param batch: samples at a time when the file is timed.
    :raises UserError: if the run is not finished or keeps no network, nothing in it is quantized,
        or the network has no ONNX form.
    """
    folder = Path(folder)
    check_no_link(folder)
    if check:
        onnxruntime()
    run = restore_run(folder, data_root=data_root)
    with isolated_rng():
        network = _quantized(run)
        x, y = samples_of(run, task)
        shape = tuple(x.shape[1:])
        images = calibration_images(run)
        (folder / EXPORT).unlink(missing_ok=True)
        path = export_onnx(network, folder / FILE, input_shape=shape, task=task, calibrate=images)
        found = None
        if check:
            found = _checked(run, network, path, task=task, samples=(x, y), images=images, n=batch)
            found.write(folder)
    return ExportedRun(file=path, checked=found)


def _quantized(run: FinishedRun) -> nn.Module:
    """Return the quantized network that the run evaluated last."""
    strategy = run.strategy
    strategy.eval([run.benchmark.test_stream[0]])  # makes a calibrated copy, where that is one
    network = evaluated_model(strategy)
    if not quantized_layers(network):
        raise UserError(
            f"{run.record.strategy} trained at full precision: there is no quantized network to "
            'export. Give the run a table [quantization] (calibrate = "memory" quantizes after '
            "training), or use a strategy that quantizes"
        )
    return network


def _checked(
    run: FinishedRun,
    network: nn.Module,
    path: Path,
    *,
    task: int | None,
    samples: tuple[Tensor, Tensor],
    images: Tensor,
    n: int,
) -> Exported:
    x, y = samples
    session = Session(path)
    of_file = torch.cat([torch.from_numpy(session(p.numpy())).argmax(1) for p in x.split(_CHUNK)])
    of_torch = _predictions(network, x, task)
    sessions, sizes, missing = {"file": session}, {}, {}
    with tempfile.TemporaryDirectory() as made:
        for name, twin in _twins(network, tuple(x.shape[1:]), task, images, Path(made)).items():
            if isinstance(twin, str):
                missing[name] = twin
                continue
            sessions[name], sizes[name] = Session(twin), twin.stat().st_size
    times = times_in_turns(sessions, x[:n].numpy())
    others = [name for name in times if name != "file"]
    return Exported(
        result=fingerprint(run.record),
        file=path.name,
        task=task,
        samples=len(y),
        accuracy=float((of_file == y).double().mean()),
        torch_accuracy=float((of_torch == y).double().mean()),
        agreement=float((of_file == of_torch).double().mean()),
        bytes=path.stat().st_size,
        runtime=session.runtime,
        batch=min(n, len(x)),
        seconds=median(times["file"]),
        twin_bytes=sizes,
        twin_seconds={name: median(times[name]) for name in others},
        speedups={name: speedup(times[name], times["file"]) for name in others},
        missing=missing,
    )


@torch.no_grad()
def _predictions(network: nn.Module, x: Tensor, task: int | None) -> Tensor:
    device = next(network.parameters()).device
    found = []
    with evaluating(network):
        for part in x.split(_CHUNK):
            tasks = torch.full((len(part),), task or 0, device=device)
            found.append(avalanche_forward(network, part.to(device), tasks).argmax(1).cpu())
    return torch.cat(found)


def _twins(
    network: nn.Module, shape: tuple[int, ...], task: int | None, images: Tensor, folder: Path
) -> Mapping[str, Path | str]:
    """Return the other files of the network, or why there is none."""
    plain = dequantize_model(copy.deepcopy(network))
    found: dict[str, Path | str] = {
        "float": export_onnx(plain, folder / "float.onnx", input_shape=shape, task=task)
    }
    try:
        found["brevitas"] = brevitas_twin.export(
            network, folder / "brevitas.onnx", task=task, images=images
        )
    except UserError as reason:
        found["brevitas"] = str(reason)
    return found
