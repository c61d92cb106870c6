"""The Indian buffet prior of which task uses which factors, and its variational posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt, Lt
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.bayesian.functional.indian_buffet import (
    concrete_log_ratio,
    kumaraswamy_beta_kl,
    kumaraswamy_kl,
    kumaraswamy_quantile,
    stick_breaking,
)
from cl_strategies.validation.hyperparameters import hyperparameters

#: Least distance from 0 and 1 of a probability, and of a uniform sample.
CLIP, EDGE = 1e-3, 1e-4


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class FactorPrior:
    """Hyper-parameters of the prior; the functions take the layers one after the other.

    :raises UserError: for a hyper-parameter out of its range.
    """

    alpha: Annotated[
        float,
        Gt(0),
        Doc(
            "Concentration of the Indian buffet process, relative to the number of factors of a "
            "layer: the larger, the more factors a task uses. 700 of 1,000 in the paper."
        ),
    ] = 0.7
    threshold: Annotated[
        float,
        Gt(0),
        Lt(1),
        Doc("Probability from which on a task uses a factor, kappa in the paper."),
    ] = 0.6
    temperature: Annotated[float, Gt(0), Doc("Temperature of the relaxed binary selection.")] = (
        2 / 3
    )
    deviation: Annotated[
        float,
        Gt(0),
        Doc("Standard deviation of the prior of the strengths, and of their first values."),
    ] = 0.1

    def logits(self, factors: int) -> Tensor:
        """Return the logits of the means of the prior, with which the first task begins."""
        alpha = self.alpha * factors
        means = stick_breaking(torch.full((factors,), alpha / (alpha + 1), dtype=torch.float64))
        return torch.logit(means.clamp(CLIP, 1 - CLIP))

    def sticks(self, factors: int) -> Tensor:
        """Return the logarithms of c and d, ``(2, F)``, that make the posterior the prior."""
        first = torch.full((factors,), math.log(self.alpha * factors), dtype=torch.float64)
        return torch.stack([first, torch.zeros_like(first)])

    def strengths(self, factors: int) -> Tensor:
        """Draw strengths from their prior."""
        return self.deviation * torch.randn(factors)

    def selection(self, logits: Tensor, noise: Tensor) -> Tensor:
        """Return a sample of the selection before its sigmoid.

        :param noise: uniform, of the shape of ``logits``.
        """
        return (logits + torch.logit(noise)) / self.temperature

    def divergence(
        self,
        logits: Tensor,
        strengths: Tensor,
        sticks: Tensor,
        last: Tensor | None,
        noise: Tensor,
        sizes: Sequence[int],
    ) -> Tensor:
        """Estimate the divergence between posterior and prior, in nats.

        That of the selection at one sample, of the fractions in closed form, of the strengths as
        normal variables of the deviation of their prior. Layers stand one after the other.

        :param logits: ``(F,)``, of the probabilities of use.
        :param strengths: ``(F,)``.
        :param sticks: ``(2, F)``, logarithms of c and d.
        :param last: those after the task before; ``None`` for the first task.
        :param noise: ``(2, F)``, uniform: for the selection and for the fractions.
        :param sizes: Number of factors of each layer.
        """
        a, b = sticks.exp()
        fractions = kumaraswamy_quantile(noise[1], a, b)
        prior = torch.cat([stick_breaking(part) for part in fractions.split(list(sizes))])
        selection = concrete_log_ratio(
            self.selection(logits, noise[0]),
            logits.sigmoid(),
            prior,
            temperature=self.temperature,
            clip=CLIP,
        )
        if last is None:  # Beta(alpha, 1), where the series has no part
            first = torch.cat([self.sticks(size) for size in sizes], dim=1).exp().to(a)
            stick = kumaraswamy_beta_kl(a, b, *first, terms=1)
        else:
            stick = kumaraswamy_kl(a, b, *last.exp())
        normal = strengths.square() / (2 * self.deviation**2)
        return (selection + stick + normal).sum()
