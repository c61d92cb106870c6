"""IntraQ (Zhong, Lin, Nan, Liu, Zhang, Tian, Ji, "IntraQ: Learning Synthetic Images with
Intra-Class Heterogeneity for Zero-Shot Network Quantization", CVPR 2022)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torch.nn.functional import one_hot
from typing_extensions import Doc

from cl_strategies.plugins.data_free.batch_norm import matched_images, watching
from cl_strategies.plugins.data_free.class_features import ClassFeatures, watching_features
from cl_strategies.plugins.data_free.crops import cropped
from cl_strategies.plugins.data_free.descent import tuning
from cl_strategies.plugins.data_free.functional.images import (
    class_distance_penalty,
    target_probability_loss,
)
from cl_strategies.plugins.data_free.functional.statistics import batch_statistics_loss
from cl_strategies.plugins.data_free.functional.superposition import distillation_loss
from cl_strategies.plugins.data_free.student import set_ranges
from cl_strategies.plugins.data_free.trained import Drawn, Trained
from cl_strategies.strategies.templates.data_free import DataFreeStrategy

#: Steps without a smaller loss before the learning rate of the images falls.
PATIENCE = 50
WEIGHT_DECAY = 1e-4
#: How often the images are cropped, and how often their class need not be certain.
HALF = 0.5


class IntraQ(DataFreeStrategy):
    """Fine-tuning, quantized after each experience and trained on images of each class that differ.

    The images have the statistics that the BatchNorm layers keep. They are certain to different
    degrees, apart from the mean of their class but not far, and each may be an object of any size.

    :raises UserError: for a network without BatchNorm or one that cannot be quantized, or for an
        option out of its range.
    """

    def __init__(
        self,
        *,
        image_iterations: Annotated[int, Ge(0), Doc("Steps on each batch of images.")] = 100,
        batches: Annotated[int, Ge(1), Doc("Batches of images, made one after the other.")] = 4,
        image_lr: Annotated[float, Gt(0), Doc("Learning rate of the images, by Adam.")] = 0.5,
        smallest_crop: Annotated[
            float, Gt(0), Le(1), Doc("Least share of an image in a crop; 1: whole images.")
        ] = 0.5,
        least_probability: Annotated[
            float, Ge(0), Le(1), Doc("Least probability that an image is to have of its class.")
        ] = 0.6,
        lower: Annotated[
            float, Ge(0), Doc("Cosine distance from the mean of a class below which it costs.")
        ] = 0.02,
        upper: Annotated[float, Ge(0), Doc("Distance above which it costs.")] = 1.0,
        iterations: Annotated[int, Ge(0), Doc("Steps of the quantized network.")] = 100,
        lr: Annotated[float, Gt(0), Doc("Learning rate of the quantized network.")] = 1e-4,
        temperature: Annotated[float, Gt(0), Doc("Temperature of the distillation.")] = 20.0,
        alpha: Annotated[float, Ge(0), Doc("Weight of the distillation.")] = 20.0,
        **template: Any,
    ) -> None:
        self.image_iterations, self.batches = image_iterations, batches
        self.image_lr, self.smallest_crop = image_lr, smallest_crop
        self.least_probability = least_probability
        self.limits = {"lower": lower, "upper": upper}
        self.iterations, self.lr = iterations, lr
        self.distilling = {"temperature": temperature, "alpha": alpha}
        super().__init__(**template)

    def fit(self, student: nn.Module, trained: Trained) -> None:
        made = self._batches(trained)
        images = torch.cat([images for images, _ in made])
        set_ranges(student, trained, images, made[0][1].task)
        tune = tuning(student, lr=self.lr, weight_decay=WEIGHT_DECAY)
        for iteration in range(self.iterations):
            images, drawn = made[iteration % len(made)]
            with torch.no_grad():
                theirs = trained.logits(images, drawn.task)
            logits = trained.logits(images, drawn.task, network=student)
            targets = one_hot(drawn.labels[:, 0], logits.shape[1]).to(logits)
            tune(distillation_loss(logits, targets, theirs, **self.distilling))

    def _batches(self, trained: Trained) -> list[tuple[Tensor, Drawn]]:
        """Make batches of images, each apart from those before it."""
        made = []
        known = ClassFeatures(len(trained.labels))
        with watching(trained.network) as inputs, watching_features(trained) as features:
            for _ in range(self.batches):
                drawn = trained.draw(self.images)
                rows, labels = drawn.rows[:, 0], drawn.labels[:, 0]
                targets = self._targets(trained, len(labels))

                def loss(
                    images: Tensor,
                    drawn: Drawn = drawn,
                    rows: Tensor = rows,
                    labels: Tensor = labels,
                    targets: Tensor = targets,
                ) -> Tensor:
                    inputs.take()
                    seen = cropped(images, self.smallest_crop) if torch.rand(()) < HALF else images
                    logits = trained.logits(seen, drawn.task)
                    means, before = known.of(rows, features.latest)
                    close, far = class_distance_penalty(
                        features.latest, means, before, **self.limits
                    )
                    certain = target_probability_loss(logits, labels, targets)
                    return batch_statistics_loss(*inputs.take()) + certain + close + far

                images = matched_images(
                    trained.noise(self.images),
                    loss,
                    iterations=self.image_iterations,
                    lr=self.image_lr,
                    patience=PATIENCE,
                )
                with torch.no_grad():
                    trained.logits(images, drawn.task)
                known.add(rows, features.latest.detach())
                made.append((images, drawn))
        return made

    def _targets(self, trained: Trained, count: int) -> Tensor:
        """Draw the probability that each image is to have of its class."""
        drawn = self.least_probability + (1 - self.least_probability) * torch.rand(count)
        return torch.where(torch.rand(count) < HALF, drawn, 1.0).to(trained.like)
