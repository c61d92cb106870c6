"""Singular value decomposition of a residual, from the small side of its Gram matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.errors import UserError

#: Up to this many rows or columns the decomposition of the matrix itself is fast enough.
_SMALL = 96
_BLOCK = 160


class Spectrum:
    """The singular values of a matrix, and its best approximation of any rank.

    A matrix of more than 96 rows and columns is decomposed through the eigenvectors of its Gram
    matrix in float64: several times faster than ``torch.linalg.svd``. Singular values above
    1e-7 times the largest are exact to single precision; the approximation projects the matrix
    on those eigenvectors, so that it does not suffer from the squared condition number.

    :param matrix: ``(J, I)``.
    :ivar values: all ``min(J, I)`` singular values, descending, float64.
    :raises UserError: if the matrix is not two-dimensional or not finite.
    """

    def __init__(self, matrix: Tensor) -> None:
        if matrix.dim() != 2:
            raise UserError(f"a matrix has two dimensions, not the shape {tuple(matrix.shape)}")
        self.matrix = matrix
        self._wide = matrix.shape[0] <= matrix.shape[1]
        short = self._short()
        if not bool(torch.isfinite(short).all()):
            raise UserError("the matrix holds values that are not finite: the training diverged")
        if len(short) <= _SMALL:
            self._vectors, self.values, _ = torch.linalg.svd(short, full_matrices=False)
        else:
            eigenvalues, vectors = torch.linalg.eigh(_gram(short))
            self.values = eigenvalues.flip(0).clamp_min(0).sqrt()
            self._vectors = vectors.flip(1)

    def factors(self, components: int | Tensor) -> tuple[Tensor, Tensor]:
        """Return two factors whose product is the best approximation; both carry the root of sigma.

        :param components: the rank, or the indices of the singular values to keep.
        :returns: ``(J, k)`` and ``(k, I)`` in the type of the matrix.
        """
        vectors, projected = self.project(components)
        root = projected.norm(dim=1).sqrt()
        left, right = vectors * root, projected / torch.where(root > 0, root, 1.0)[:, None]
        return self._oriented(left, right)

    def project(self, components: int | Tensor) -> tuple[Tensor, Tensor]:
        """Project the matrix on orthonormal vectors of its short side, in float64; return both.

        The rows of the second are the other side's vectors times the singular values.
        """
        index = slice(components) if isinstance(components, int) else components
        vectors = self._vectors[:, index]
        return vectors, vectors.T @ self._short()

    def left(self, components: int | Tensor) -> Tensor:
        """Return orthonormal left singular vectors, ``(J, k)``, float64; zero for a zero sigma."""
        vectors, projected = self.project(components)
        if self._wide:
            return vectors
        return torch.nn.functional.normalize(projected, dim=1, eps=0.0).nan_to_num(0.0).T

    def _short(self) -> Tensor:
        """Return the matrix with its short side first, in float64."""
        return (self.matrix if self._wide else self.matrix.T).double()

    def _oriented(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        pair = (left, right) if self._wide else (right.T, left.T)
        kind = self.matrix.dtype
        return pair[0].to(kind).contiguous(), pair[1].to(kind).contiguous()


def truncated_svd(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the ``rank`` leading singular triples (HALRP Eq. 1 and 5).

    ``left @ diag(values) @ right`` is the best approximation of that rank, with the error
    ``sqrt(sum of the squares of the values left out)``. Signs of pairs are arbitrary.

    :param matrix: ``(J, I)``.
    :param rank: from 0 to ``min(J, I)``.
    :returns: ``(J, rank)``, ``(rank,)`` descending, ``(rank, I)``, in the type of ``matrix``.
    :raises UserError: for another rank, or a matrix that is not finite.
    """
    if not 0 <= rank <= min(matrix.shape):
        raise UserError(
            f"rank is {rank}: a matrix of shape {tuple(matrix.shape)} has at most "
            f"{min(matrix.shape)}"
        )
    spectrum = Spectrum(matrix)
    vectors, projected = spectrum.project(rank)
    values = projected.norm(dim=1)
    unit = projected / torch.where(values > 0, values, 1.0)[:, None]
    left, right = spectrum._oriented(vectors, unit)
    return left, values.to(matrix.dtype), right


def _gram(short: Tensor) -> Tensor:
    """Compute the lower triangle of ``short @ short.T``, which is all that ``eigh`` reads."""
    size = len(short)
    gram = short.new_zeros(size, size)
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        gram[start:stop, :stop] = short[start:stop] @ short[:stop].T
    return gram
