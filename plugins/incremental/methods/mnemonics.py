"""Mnemonics (Liu, Su, Liu, Schiele, Sun, "Mnemonics Training: Multi-Class Incremental Learning
without Forgetting", CVPR 2020), as its released code does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torchvision.transforms import Compose, PILToTensor, ToTensor
from typing_extensions import Doc

from cl_strategies.plugins.exemplars.buffer.avalanche_data import image_transforms
from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.buffer.quota import Record
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.incremental.methods.icarl import class_means
from cl_strategies.plugins.incremental.methods.lucir import LUCIRMethod
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.plugins.incremental.training import shuffled
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class MnemonicsMethod(LUCIRMethod):
    """LUCIR whose new exemplars are trained, as pixels, to be good class means.

    Pixels are trained by Adam: its steps do not depend on the size of an image, nor on how many
    exemplars share a mean, as the gradient of one pixel does.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        pixel_lr: Annotated[
            float,
            Gt(0),
            Doc("Learning rate of pixels in [0, 1], about what one step of Adam moves them by."),
        ] = 0.01,
        pixel_epochs: Annotated[
            int, Ge(0), Doc("Passes over the new data in which pixels are trained.")
        ] = 1,
        pixel_decay: Annotated[float, Ge(0), Doc("Decoupled weight decay of pixels.")] = 5e-4,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.pixel_lr = pixel_lr
        self.pixel_epochs = pixel_epochs
        self.pixel_decay = pixel_decay

    def conclude(self, strategy: IncrementalStrategy) -> None:
        super().conclude(strategy)
        memory: ByteBudgetBuffer = strategy.memory.memory
        fresh = set(strategy.model.order[self.n_old :])
        records = [record for record in memory.records if record.label in fresh]
        if records and self.pixel_epochs:
            pixels = self.train_pixels(strategy, records)
            changed = {id(r): p for r, p in zip(records, pixels, strict=True)}
            memory.rewrite(lambda record: _encoded(memory, record, changed.get(id(record))))

    def train_pixels(self, strategy: IncrementalStrategy, records: list[Record]) -> list[Tensor]:
        """Exemplars whose class means classify the new data better.

        :param records: exemplars of the new classes.
        :returns: one ``(C, H, W)`` with values in ``[0, 1]`` for each.
        """
        network, codec = strategy.model, strategy.memory.memory.codec
        images = [
            nn.Parameter(_as_float(codec.decode(record.payload)).to(strategy.device))
            for record in records
        ]
        prepare = tensor_transform(strategy.experience.dataset)
        labels = torch.tensor([record.label for record in records], device=strategy.device)
        indices = network.index_of(labels)
        stored = class_means(strategy, network).to(images[0])
        present = torch.unique(indices)
        optimizer = torch.optim.AdamW(images, lr=self.pixel_lr, weight_decay=self.pixel_decay)
        with evaluating(network):
            for _ in range(self.pixel_epochs):
                for x, y in shuffled(strategy, strategy.experience.dataset.train()):
                    with torch.no_grad():
                        queries = normalize(network.outputs(x).features, dim=1).to(stored)
                    batch = torch.stack([prepare(image) for image in images]).to(x)
                    features = normalize(network.outputs(batch).features, dim=1).to(stored)
                    sums = torch.zeros_like(stored).index_add(0, indices, features)
                    means = stored.index_copy(0, present, sums[present])
                    logits = queries @ normalize(means, dim=1).T
                    loss = cross_entropy(logits, network.index_of(y))
                    for image, slope in zip(images, torch.autograd.grad(loss, images), strict=True):
                        image.grad = slope
                    optimizer.step()
                    for image in images:  # what is stored has no values beyond
                        image.data.clamp_(0, 1)
        return [image.detach().cpu() for image in images]


def tensor_transform(dataset: Any) -> Callable[[Tensor], Tensor]:
    """Return what the group ``eval`` does to an image, for tensors ``(C, H, W)`` in ``[0, 1]``."""
    chain = image_transforms(dataset).get("eval")
    parts = [] if chain is None else list(chain.transforms)  # type: ignore[attr-defined]
    return Compose([t for t in parts if not isinstance(t, ToTensor | PILToTensor)])


def _as_float(pixels: Any) -> Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 255


def _encoded(memory: ByteBudgetBuffer, record: Record, image: Tensor | None) -> bytes:
    """Return the payload of a trained exemplar, or that of one that was not trained."""
    if image is None:
        return record.payload
    pixels = (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    box = memory.codec.box(record.payload) if memory.codec.needs_box else None  # type: ignore[attr-defined]
    return memory.codec.encode(np.asarray(pixels), box)
