"""ZAQ (Liu, Zhang, Wang, "Zero-shot Adversarial Quantization", CVPR 2021)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.data_free.descent import tuning
from cl_strategies.plugins.data_free.functional.relation import relation_map_loss
from cl_strategies.plugins.data_free.generator import Generator, Made, train_generator
from cl_strategies.plugins.data_free.student import following
from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.plugins.features.stages import recording, stages_called
from cl_strategies.strategies.templates.data_free import DataFreeStrategy

#: Adam's, as PyTorch has them.
BETAS = (0.9, 0.999)
WEIGHT_DECAY = 5e-4


class ZAQ(DataFreeStrategy):
    """Fine-tuning, quantized after each experience against a generator of images on which the
    quantized network differs most from the trained one.

    Both are compared by their logits and by the relations within their feature maps.

    :raises UserError: for a network without feature maps or one that cannot be quantized, or for an
        option out of its range.
    """

    def __init__(
        self,
        *,
        iterations: Annotated[int, Ge(0), Doc("Steps of the generator; 0: min-max.")] = 30,
        student_steps: Annotated[
            int, Ge(1), Doc("Steps of the quantized network for each of the generator.")
        ] = 5,
        lr: Annotated[float, Gt(0), Doc("Learning rate of the quantized network.")] = 1e-4,
        generator_lr: Annotated[float, Gt(0), Doc("Learning rate of the generator.")] = 1e-3,
        latent: Annotated[int, Ge(1), Doc("Numbers that an image is generated from.")] = 64,
        alpha: Annotated[float, Ge(0), Doc("Weight of the relation maps.")] = 1.0,
        beta: Annotated[float, Ge(0), Doc("Weight of the magnitude of features.")] = 0.1,
        gamma: Annotated[float, Ge(0), Doc("Share of the attention in a relation map.")] = 0.1,
        **template: Any,
    ) -> None:
        self.iterations, self.student_steps = iterations, student_steps
        self.lr, self.generator_lr, self.latent = lr, generator_lr, latent
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        super().__init__(**template)

    def check_network(self, network: nn.Module) -> None:
        if not any(isinstance(module, nn.Conv2d) for module in network.modules()):
            raise UserError(
                f"ZAQ compares feature maps, and {type(network).__name__} has no Conv2d that makes "
                "any: use a convolutional network, such as small-resnet"
            )
        super().check_network(network)

    def fit(self, student: nn.Module, trained: Trained) -> None:
        generator = Generator(self.latent, trained.like)
        task = trained.draw(1).task
        names = stages_called(trained.network, lambda: trained.logits(trained.noise(2), task))

        def make() -> Made:
            drawn = trained.draw(self.images)
            code = torch.randn(self.images, self.latent, device=trained.like.device)
            return generator(code.to(trained.like)), drawn, trained.like

        def answers(network: nn.Module, made: Made) -> tuple[Tensor, list[Tensor]]:
            images, drawn, _ = made
            with recording([network.get_submodule(name) for name in names]) as maps:
                return trained.logits(images, drawn.task, network=network), list(maps)

        def difference(made: Made) -> tuple[Tensor, list[Tensor]]:
            logits, maps = answers(trained.network, made)
            found, theirs = answers(student, made)
            relations = [
                relation_map_loss(a, b, gamma=self.gamma) for a, b in zip(theirs, maps, strict=True)
            ]
            return (found - logits).abs().mean() + self.alpha * sum(relations), maps

        def of_generator(made: Made) -> Tensor:
            distance, maps = difference(made)
            return -distance - self.beta * maps[-1].abs().mean() if maps else -distance

        with following(student):
            with torch.no_grad():
                images, drawn, _ = make()
                trained.logits(images, drawn.task, network=student)
            train_generator(
                generator,
                make,
                of_generator=of_generator,
                of_student=lambda made: difference(made)[0],
                tune=tuning(student, lr=self.lr, weight_decay=WEIGHT_DECAY),
                iterations=self.iterations,
                student_steps=self.student_steps,
                lr=self.generator_lr,
                betas=BETAS,
            )
