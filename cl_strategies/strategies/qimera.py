"""Qimera (Choi, Hong, Park, Kim, Lee, "Qimera: Data-free Quantization with Synthetic Boundary
Supporting Samples", NeurIPS 2021)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.data_free.batch_norm import watching
from cl_strategies.plugins.data_free.descent import tuning
from cl_strategies.plugins.data_free.functional.superposition import (
    distillation_loss,
    generator_loss,
    superposed_embedding,
    superposed_labels,
)
from cl_strategies.plugins.data_free.generator import Generator, Made, train_generator
from cl_strategies.plugins.data_free.student import set_ranges
from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.strategies.templates.data_free import DataFreeStrategy

BETAS = (0.5, 0.999)
WEIGHT_DECAY = 1e-4


class ConditionalGenerator(nn.Module):
    """A generator of images of classes, and of images between classes.

    :param latent: size of the embedding of a class.
    :param trained: the network that knows the classes.
    """

    def __init__(self, latent: int, trained: Trained) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(len(trained.labels), latent)
        self.generator = Generator(latent, trained.like)
        self.to(trained.like)

    def forward(self, rows: Tensor, weights: Tensor) -> Tensor:
        """:param rows: which embeddings ``(N, M)``. :param weights: ``(N, M)``."""
        embedded = self.embeddings(rows)
        embedded = embedded + torch.randn_like(embedded)
        normalized = nn.functional.layer_norm(embedded, embedded.shape[-1:])
        images: Tensor = self.generator(superposed_embedding(normalized, weights))
        return images


class Qimera(DataFreeStrategy):
    """Fine-tuning, quantized after each experience and trained on generated images, some of which
    lie between classes.

    :raises UserError: for a network without BatchNorm or one that cannot be quantized, or for an
        option out of its range.
    """

    def __init__(
        self,
        *,
        iterations: Annotated[int, Ge(0), Doc("Steps of the quantized network.")] = 100,
        warmup: Annotated[int, Ge(1), Doc("Steps of the generator before them.")] = 100,
        lr: Annotated[float, Gt(0), Doc("Learning rate of the quantized network.")] = 1e-3,
        generator_lr: Annotated[float, Gt(0), Doc("Learning rate of the generator.")] = 1e-3,
        latent: Annotated[int, Ge(1), Doc("Size of the embedding of a class.")] = 64,
        superposed: Annotated[
            float, Ge(0), Le(1), Doc("Probability that the images of a batch lie between classes.")
        ] = 0.4,
        mixed: Annotated[int, Ge(2), Doc("Classes that such an image lies between.")] = 2,
        statistics_weight: Annotated[
            float, Ge(0), Doc("Weight of the BatchNorm statistics of generated images.")
        ] = 0.1,
        temperature: Annotated[float, Gt(0), Doc("Temperature of the distillation.")] = 20.0,
        alpha: Annotated[float, Ge(0), Doc("Weight of the distillation.")] = 1.0,
        **template: Any,
    ) -> None:
        self.iterations, self.warmup = iterations, warmup
        self.lr, self.generator_lr, self.latent = lr, generator_lr, latent
        self.superposed, self.mixed = superposed, mixed
        self.statistics_weight = statistics_weight
        self.distilling = {"temperature": temperature, "alpha": alpha}
        super().__init__(**template)

    def fit(self, student: nn.Module, trained: Trained) -> None:
        generator = ConditionalGenerator(self.latent, trained)

        def make() -> Made:
            between = bool(torch.rand(()) < self.superposed)
            drawn = trained.draw(self.images, self.mixed if between else 1)
            weights = torch.randn(drawn.rows.shape).softmax(1).to(trained.like)
            return generator(drawn.rows, weights), drawn, weights

        def soft(made: Made, logits: Tensor) -> Tensor:
            return superposed_labels(made[1].labels, made[2], logits.shape[1])

        def of_student(made: Made) -> Tensor:
            images, drawn, _ = made
            with torch.no_grad():
                theirs = trained.logits(images, drawn.task)
            logits = trained.logits(images, drawn.task, network=student)
            return distillation_loss(logits, soft(made, logits), theirs, **self.distilling)

        def warm() -> None:
            with torch.no_grad():
                images, drawn, _ = make()
            set_ranges(student, trained, images, drawn.task)

        with watching(trained.network) as inputs:

            def of_generator(made: Made) -> Tensor:
                inputs.take()
                logits = trained.logits(made[0], made[1].task)
                weight = self.statistics_weight
                return generator_loss(logits, soft(made, logits), *inputs.take(), weight=weight)

            train_generator(
                generator,
                make,
                of_generator=of_generator,
                of_student=of_student,
                tune=tuning(student, lr=self.lr, weight_decay=WEIGHT_DECAY, nesterov=True),
                iterations=self.iterations,
                student_steps=1,
                lr=self.generator_lr,
                betas=BETAS,
                warmup=self.warmup,
                warm=warm,
            )
