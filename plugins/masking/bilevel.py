"""The mask-level optimization of CIM: gradients of phi through one step of the network.

Notation of the paper: theta, the network but for its classifier omega; phi, the activation
functions of the mask branch. Masks made with phi compress a batch; theta takes one step on it,
to theta+ (Eq. 7); phi is good if theta+ does well on original images (Eq. 9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from typing_extensions import Doc

from cl_strategies.plugins.exemplars.codecs.options import Eta, Filter
from cl_strategies.plugins.masking.cam_extractor import CamExtractor
from cl_strategies.plugins.masking.functional import mask_penalty, soft_compress
from cl_strategies.plugins.masking.pade import PadeActivations
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation

Batch = tuple[Tensor, Tensor]
#: The loss of the method that CIM is plugged into: from the network, inputs and labels.
InnerLoss = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class ObjectiveWeights:
    """Weights of the terms that phi is optimized for."""

    penalty: Annotated[
        float, Ge(0), Doc("Mu: weight of R(phi), which keeps masks small."), Equation("Eq. 6")
    ] = 0.1
    diversity: Annotated[
        float,
        Ge(0),
        Doc(
            "Mu': weight of the cross-entropy of the mask branch, which keeps maps from "
            "collapsing to one that all images share."
        ),
        Equation("Eq. 9"),
    ] = 0.2
    # Central differences along the gradient, as in DARTS, do not help: the kinks of ReLU spoil
    # them at any usable distance.
    second_order: Annotated[
        bool,
        Doc(
            "Differentiate the loss after the step through the step. ``False`` takes the step for "
            "a constant, which leaves the other two terms."
        ),
        Equation("Eq. 9"),
    ] = True


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class MaskObjective(ObjectiveWeights):
    """What phi is optimized for.

    :raises UserError: for an option out of its range.
    """

    eta: Eta = 4.0
    filter: Filter = "nearest"
    masks_follow_weights: Annotated[
        bool,
        Doc(
            "Differentiate the inner loss with respect to theta also where theta makes the masks, "
            "as the authors' code does; ``False``: the masked images are data, as Eq. 7 reads."
        ),
    ] = True
    fixed: Annotated[
        tuple[str, ...],
        Doc(
            "Patterns of names of parameters that take no step; the classifier never does. The "
            "authors' code leaves out the convolutions of shortcuts."
        ),
    ] = ()
    nearest: Annotated[
        Literal["pillow", "floor"],
        Doc(
            'Pixels of a ``"nearest"`` background: ``"pillow"``: as they are stored; ``"floor"``: '
            "as the authors' code has it here."
        ),
    ] = "pillow"

    def weights(self, model: nn.Module, extractor: CamExtractor) -> dict[str, nn.Parameter]:
        """Return theta: the parameters that take the step."""
        classifier = {id(parameter) for parameter in extractor.classifier.parameters()}
        return {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
            and id(parameter) not in classifier
            and not any(fnmatchcase(name, pattern) for pattern in self.fixed)
        }


class MaskLosses(NamedTuple):
    """The losses of one batch in the mask branch.

    :param inner: Loss of the method on the compressed batch.
    :param diversity: Cross-entropy of the mask branch on the batch as it is.
    :param penalty: R(phi).
    """

    inner: Tensor
    diversity: Tensor
    penalty: Tensor


def mask_losses(
    model: nn.Module,
    activations: PadeActivations,
    extractor: CamExtractor,
    batch: Batch,
    objective: MaskObjective,
    inner_loss: InnerLoss,
    weights: Mapping[str, Tensor] | None = None,
) -> MaskLosses:
    """Make masks for a batch with phi, compress it softly (Eq. S1), and compute the losses.

    :param weights: Values to use in place of parameters of the network, by name.
    """
    x, y = batch
    values = dict(weights or {})
    mask_values = values
    if not objective.masks_follow_weights:
        mask_values = {name: p.detach() for name, p in model.named_parameters()}
    with extractor.features() as features, activations.replacing():
        logits = functional_call(model, mask_values, (x,))
    maps = extractor.maps(features[-1], y)
    compressed = soft_compress(
        x, maps, eta=objective.eta, filter=objective.filter, nearest=objective.nearest
    )

    def network(images: Tensor) -> Tensor:
        return functional_call(model, values, (images,))

    return MaskLosses(
        inner_loss(network, compressed, y), cross_entropy(logits, y), mask_penalty(maps)
    )


def mask_gradients(
    model: nn.Module,
    activations: PadeActivations,
    extractor: CamExtractor,
    inner: Batch,
    outer: Batch,
    objective: MaskObjective,
    *,
    lr: float,
    inner_loss: InnerLoss,
) -> list[Tensor]:
    """Return the gradient of Eq. 9 with respect to each parameter of ``activations``.

    Call it with the network in evaluation mode: neither parameters nor statistics change. No
    gradient is left in any ``.grad``.

    :param inner: Images and labels to compress and to step on.
    :param outer: Original images and labels to judge the step by.
    :param lr: beta_1, the length of the step.
    :param inner_loss: Loss of the host method.
    """
    phi = list(activations.parameters())
    theta = objective.weights(model, extractor)

    found = mask_losses(model, activations, extractor, inner, objective, inner_loss, theta)
    own = objective.diversity * found.diversity + objective.penalty * found.penalty
    if not objective.second_order:
        return list(torch.autograd.grad(own, phi, materialize_grads=True))
    slope = torch.autograd.grad(
        found.inner, list(theta.values()), create_graph=True, materialize_grads=True
    )
    x, y = outer
    stepped = _stepped(theta, slope, lr)
    loss = cross_entropy(functional_call(model, stepped, (x,)), y)
    judged = torch.autograd.grad(loss, list(stepped.values()), materialize_grads=True)
    followed = [(g, -lr * v) for g, v in zip(slope, judged, strict=True) if g.requires_grad]
    return list(
        torch.autograd.grad(  # one backward pass for all three terms
            [own, *(g for g, _ in followed)],
            phi,
            [torch.ones_like(own), *(v for _, v in followed)],
            materialize_grads=True,
        )
    )


def inner_losses(
    model: nn.Module,
    activations: PadeActivations,
    extractor: CamExtractor,
    inner: Batch,
    objective: MaskObjective,
    *,
    lr: float,
    inner_loss: InnerLoss,
) -> tuple[float, float]:
    """Return the loss of a compressed batch before the inner step on it (Eq. 7) and after it.

    A step that raises it is too long to say anything of the images that it was taken on. The
    parameters are those of :func:`mask_gradients`; nothing changes.
    """
    theta = objective.weights(model, extractor)
    before = mask_losses(model, activations, extractor, inner, objective, inner_loss, theta).inner
    slope = torch.autograd.grad(before, list(theta.values()), materialize_grads=True)
    stepped = _stepped(theta, slope, lr)
    after = mask_losses(model, activations, extractor, inner, objective, inner_loss, stepped).inner
    return float(before.detach()), float(after.detach())


def _stepped(
    theta: Mapping[str, nn.Parameter], slope: Iterable[Tensor], lr: float
) -> dict[str, Tensor]:
    """Return theta+ (Eq. 7), cut off from what it was made of."""
    return {
        name: (p.detach() - lr * g.detach()).requires_grad_()
        for (name, p), g in zip(theta.items(), slope, strict=True)
    }
