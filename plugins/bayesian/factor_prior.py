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
    temperature: Annotated[
        float, Gt(0), Doc("Temperature of the relaxed binary selection.")
    ] = 2 / 3
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
        logits: Sequence[Tensor],
        strengths: Sequence[Tensor],
        sticks: Sequence[Tensor],
        prior_sticks: Sequence[Tensor | None],
        noise: Sequence[Tensor],
    ) -> Tensor:
        """Estimate the divergence between posterior and prior, of one sample, in nats.

        Of the selection at the sample, of the fractions in closed form, of the strengths against
        a normal prior of the same deviation.

        :param logits: ``(F,)`` for each layer.
        :param strengths: ``(F,)`` for each layer.
        :param sticks: ``(2, F)`` for each layer, logarithms of c and d.
        :param prior_sticks: those after the task before; ``None`` for the first task.
        :param noise: uniform, ``(2, F)`` for each layer: for the selection and for the fractions.
        """
        if not logits:
            return torch.zeros(())
        logit, strength = torch.cat(list(logits)), torch.cat(list(strengths))
        a, b = torch.cat(list(sticks), dim=1).exp()
        uniform, uniform_sticks = torch.cat(list(noise), dim=1)
        fractions = kumaraswamy_quantile(uniform_sticks, a, b)
        sizes = [len(part) for part in logits]
        prior = torch.cat([stick_breaking(part) for part in fractions.split(sizes)])
        selection = concrete_log_ratio(
            self.selection(logit, uniform),
            logit.sigmoid(),
            prior,
            temperature=self.temperature,
            clip=CLIP,
        )
        if any(part is None for part in prior_sticks):
            first = torch.cat([self.sticks(size) for size in sizes], dim=1).exp().to(a)
            stick = kumaraswamy_beta_kl(a, b, *first)
        else:
            last = torch.cat([part for part in prior_sticks if part is not None], dim=1).exp()
            stick = kumaraswamy_kl(a, b, *last)
        normal = strength.square() / (2 * self.deviation**2)
        return selection.sum() + stick.sum() + normal.sum()
