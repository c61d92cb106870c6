"""Gradient projection memory (Saha, Garg, Roy, "Gradient Projection Memory for Continual
Learning", ICLR 2021).

The columns of a representation matrix ``R``, ``(d, n)``, are inputs of a layer, or patches that a
convolution sees. The gradient of the weights of a layer lies in the span of its inputs, so that
steps orthogonal to the inputs of past tasks leave the outputs of past tasks alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.low_rank.functional.spectrum import Spectrum

#: Parts of the squared norm that are rounding.
_NOTHING = 1e-12


def extend_basis(basis: Tensor, representation: Tensor, threshold: float) -> Tensor:
    """Add the fewest directions that let the basis hold a part of a representation.

    ``R' = R - M M^T R`` (Eq. 8) is what the basis ``M`` does not hold yet; its leading left
    singular vectors are added until the squared norm of what is held reaches ``threshold`` times
    that of ``R`` (Eq. 9; Eq. 5 for an empty basis).

    :param basis: ``(d, m)``, orthonormal columns; ``m = 0`` before the first task.
    :param representation: ``(d, n)``.
    :param threshold: from 0 to 1.
    :returns: ``(d, m + k)``, orthonormal columns, float64.
    :raises UserError: for a threshold out of range, or a representation that is not finite.
    """
    size, count = representation.shape
    wide = representation.double()
    if count > size:
        return extend_basis_from_gram(basis, wide @ wide.T, threshold)
    held = basis.double()
    spectrum = Spectrum(wide - held @ (held.T @ wide))
    energies = spectrum.values.square()
    rank = _fewest(energies, wide.square().sum(), threshold)
    return _joined(held, spectrum.left(rank))


def extend_basis_from_gram(basis: Tensor, gram: Tensor, threshold: float) -> Tensor:
    """Do as :func:`extend_basis` from ``R R^T``, for more inputs than dimensions.

    :param basis: ``(d, m)``, orthonormal columns.
    :param gram: ``(d, d)``.
    :param threshold: from 0 to 1.
    :returns: ``(d, m + k)``, orthonormal columns, float64.
    :raises UserError: for a threshold out of range, or values that are not finite.
    """
    gram, held = gram.double(), basis.double()
    if not bool(gram.isfinite().all()):
        raise UserError("the inputs of a layer are not finite: the training diverged")
    rest = gram - held @ (held.T @ gram)
    rest = rest - (rest @ held) @ held.T
    values, vectors = torch.linalg.eigh((rest + rest.T) / 2)
    rank = _fewest(values.flip(0).clamp_min(0), gram.trace(), threshold)
    return _joined(held, vectors.flip(1)[:, :rank])


def project_out(gradient: Tensor, basis: Tensor) -> Tensor:
    """Remove the part of a gradient in the basis: ``g - g M M^T`` (Eq. 6; Eq. 7 for kernels).

    :param gradient: ``(J, I)`` or ``(J, I, kh, kw)`` with ``I kh kw = d``.
    :param basis: ``(d, m)``, orthonormal columns.
    :returns: of the shape of ``gradient``.
    """
    flat = gradient.flatten(1)
    return (flat - (flat @ basis) @ basis.T).view_as(gradient)


def _fewest(energies: Tensor, total: Tensor, threshold: float) -> int:
    """Count the ``energies``, descending and not held yet, that are needed for the threshold."""
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold is {threshold}: give a number from 0 to 1")
    held = (total - energies.sum()).clamp_min(0.0)
    before = held + energies.cumsum(0) - energies
    return int(((before < threshold * total) & (energies > _NOTHING * total)).sum())


def _joined(basis: Tensor, new: Tensor) -> Tensor:
    """Join two bases, orthonormal up to rounding."""
    new = new - basis @ (basis.T @ new)
    return torch.cat([basis, torch.linalg.qr(new).Q], dim=1)
