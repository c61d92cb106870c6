"""A generator of images, and how it is trained beside a quantized network."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.plugins.data_free.descent import step
from cl_strategies.plugins.data_free.trained import Drawn

#: Channels below and above the last enlargement.
WIDTHS = (32, 16)
#: Slope of the activation for negative values, as in the authors' generators.
SLOPE = 0.2


class Generator(nn.Module):
    """From a code to images whose channels have a mean of 0 and a deviation of 1 over a batch.

    A linear layer makes maps of a quarter of the size, which are enlarged twice, with a convolution
    after each. Without space (inputs of one dimension), each value is a channel.

    :param latent: size of a code.
    :param like: an empty batch ``(0, ...)`` of what is to be made.
    """

    def __init__(self, latent: int, like: Tensor) -> None:
        super().__init__()
        self.shape = like.shape[1:]
        images = len(self.shape) == 3
        channels, *size = self.shape if images else (math.prod(self.shape), 1, 1)
        self.sizes = [[-(-side // part) for side in size] for part in (4, 2, 1)]
        wide, narrow = WIDTHS
        self.first = nn.Linear(latent, wide * math.prod(self.sizes[0]))
        self.norms = nn.ModuleList([nn.BatchNorm2d(n) for n in (wide, wide, narrow)])
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(a, b, 3, padding=1) for a, b in ((wide, wide), (wide, narrow))]
        )
        self.last = nn.Conv2d(narrow, channels, 3, padding=1)
        self.normalized = nn.BatchNorm2d(channels, affine=False)
        self.to(like)

    def forward(self, code: Tensor) -> Tensor:
        """:param code: ``(N, latent)``. :returns: ``(N, ...)``."""
        wide = self.norms[0].num_features
        x = self.norms[0](self.first(code).unflatten(1, (wide, *self.sizes[0])))
        for layer, norm, size in zip(
            self.convolutions, self.norms[1:], self.sizes[1:], strict=True
        ):
            x = F.leaky_relu(norm(layer(F.interpolate(x, size=size))), SLOPE)
        images: Tensor = self.normalized(torch.tanh(self.last(x)))
        return images.reshape(len(code), *self.shape)


Made = tuple[Tensor, Drawn, Tensor]
"""Images, the classes that they were drawn for, soft labels."""


def train_generator(
    generator: nn.Module,
    make: Callable[[], Made],
    *,
    of_generator: Callable[[Made], Tensor],
    of_student: Callable[[Made], Tensor],
    tune: Callable[[Tensor], None],
    iterations: int,
    student_steps: int,
    lr: float,
    betas: tuple[float, float],
    warmup: int = 0,
    warm: Callable[[], None] = lambda: None,
) -> None:
    """Train a generator and a quantized network in turns.

    An iteration is a step of the generator by Adam and ``student_steps`` of the network, each on
    images of their own.

    :param make: makes a batch with the generator.
    :param of_generator: loss of the generator on a batch.
    :param of_student: loss of the quantized network on a batch.
    :param tune: takes a step of the quantized network.
    :param iterations: number of iterations.
    :param student_steps: steps of the network in each.
    :param lr: learning rate of the generator.
    :param betas: of Adam.
    :param warmup: iterations before, in which the generator alone is trained.
    :param warm: called when they are over, and before the first step of the network.
    """
    optimizer = torch.optim.Adam(generator.parameters(), lr=lr, betas=betas)
    for _ in range(warmup):
        step(optimizer, of_generator(make()))
    warm()
    for _ in range(iterations):
        for _ in range(student_steps):
            with torch.no_grad():
                made = make()
            tune(of_student(made))
        step(optimizer, of_generator(make()))
