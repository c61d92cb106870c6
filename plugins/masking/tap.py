"""Where a network shows what class activation maps are made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.features import calls, evaluating, last_layer
from cl_strategies.plugins.masking.functional import class_activation_map


class Tap:
    """Class activation maps of a network whose classifier sees averaged feature maps.

    The feature maps are found by what Eq. 1 presupposes: their spatial mean is what the linear
    classifier is given. That holds for ResNets, MobileNets and the like.

    :param model: network from images to logits.
    :param x: some inputs, ``(N, C, H, W)``.
    :raises UserError: if no layer qualifies.
    """

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        with torch.no_grad(), evaluating(model):
            seen = calls(model, lambda: model(x))
        head = last_layer(seen)
        if not isinstance(head, nn.Linear):
            raise _no_maps(model)
        self.classifier = head
        pooled = next(given for module, given, _ in seen if module is head)
        self.source, self.takes_input = _source(model, seen, pooled)

    @contextmanager
    def features(self) -> Iterator[list[Tensor]]:
        """Within, each forward pass appends its feature maps ``(N, K, h, w)`` to the list."""
        caught: list[Tensor] = []

        def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            caught.append(inputs[0] if self.takes_input else output)

        handle = self.source.register_forward_hook(note)
        try:
            yield caught
        finally:
            handle.remove()

    def maps(self, features: Tensor, labels: Tensor) -> Tensor:
        """Activation maps ``(N, h, w)`` of each image's own class; the classifier is constant."""
        return class_activation_map(features, self.classifier.weight.detach(), labels)


def _source(
    model: nn.Module, seen: list[tuple[nn.Module, Tensor, object]], pooled: Tensor
) -> tuple[nn.Module, bool]:
    for module, given, output in reversed(seen):
        for tensor, is_input in ((output, False), (given, True)):
            if isinstance(tensor, Tensor) and tensor.ndim == 4 and tensor[0, 0].numel() > 1:
                mean = tensor.mean((2, 3))
                close = 1e-4 * pooled.abs().amax()
                if mean.shape == pooled.shape and (mean - pooled).abs().amax() <= close:
                    return module, is_input
    raise _no_maps(model)


def _no_maps(model: nn.Module) -> UserError:
    return UserError(
        f"{type(model).__name__} has no class activation maps: they need a linear classifier on "
        "feature maps of more than one pixel that are averaged over the image, as in a ResNet. "
        "Use such a network, or boxes that do not look at the image ('centre', 'random')"
    )
