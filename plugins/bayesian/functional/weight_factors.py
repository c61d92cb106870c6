"""Weights made of shared factors (Mehta, Liang, Verma, Carin, "Continual Learning using a Bayesian
Nonparametric Dictionary of Weight Factors", AISTATS 2021)."""

from __future__ import annotations

from torch import Tensor

from cl_strategies.errors import UserError


def factored_weight(left: Tensor, right: Tensor, selection: Tensor, strength: Tensor) -> Tensor:
    """Multiply the factors of a layer into the weights of a task, ``W_a diag(b r) W_b`` (Eq. 1).

    :param left: ``(A, F)``; A inputs, of which the last may be a constant one, for the bias.
    :param right: ``(F, J)``.
    :param selection: ``(F,)``, which factors the task uses, each from 0 to 1; b in the paper.
    :param strength: ``(F,)``, how strongly; r in the paper.
    :returns: ``(A, J)``.
    """
    return (left * (selection * strength)) @ right


def free_factors(posteriors: Tensor, *, threshold: float = 0.6) -> Tensor:
    """Mark the factors that no earlier task uses.

    :param posteriors: ``(T, F)``, the probabilities with which T earlier tasks use each factor.
    :param threshold: A task uses a factor from this probability on, kappa in the paper.
    :returns: bool, ``(F,)``; all of them for no task.
    :raises UserError: unless there are two dimensions.
    """
    if posteriors.dim() != 2:
        raise UserError(
            f"posteriors have the shape {tuple(posteriors.shape)}: give a row for each earlier "
            "task and a column for each factor"
        )
    return ~(posteriors.detach() >= threshold).any(dim=0)


def protect_factors(
    left_gradient: Tensor, right_gradient: Tensor, free: Tensor
) -> tuple[Tensor, Tensor]:
    """Clear the gradients of factors that earlier tasks use.

    :param left_gradient: ``(A, F)``.
    :param right_gradient: ``(F, J)``.
    :param free: bool, ``(F,)``, from :func:`free_factors`.
    :returns: both, zero in the columns and rows of factors that are not free.
    """
    left = left_gradient.masked_fill(~free, 0.0)
    return left, right_gradient.masked_fill(~free.unsqueeze(1), 0.0)


def expected_selection(probability: Tensor, *, threshold: float = 0.6) -> Tensor:
    """Replace the random selection by its probability, as in fine-tuning and in evaluation.

    :param probability: any shape; pi in the paper.
    :param threshold: Below this probability a factor is not used, kappa in the paper.
    :returns: the probability where it reaches the threshold, zero elsewhere, without a gradient
        there.
    """
    return probability.masked_fill(probability.detach() < threshold, 0.0)
