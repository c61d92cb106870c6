"""Find the feature maps that the class activation maps of a network are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import GrowingClassifier
from cl_strategies.plugins.features.extraction import calls, last_layer
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.masking.functional import class_activation_map

Seen = list[tuple[nn.Module, Tensor, object]]


class FeatureMaps(NamedTuple):
    """Where feature maps are: what a module is given, or what it returns."""

    module: nn.Module
    takes_input: bool


class CamExtractor:
    """Extract class activation maps of a network whose classifier sees averaged feature maps.

    The feature maps are found by what Eq. 1 presupposes: their spatial mean is what the linear
    classifier is given. That holds for ResNets, MobileNets and the like, and for several of them
    side by side.

    :param model: Network from images to logits. Labels go through its method ``index_of``, from
        class ids to rows of the classifier, if it has one, or the order of a growing head.
    :param x: Some inputs, ``(N, C, H, W)``.
    :param task: Task label of the inputs, for networks that take some.
    :raises UserError: if no layer qualifies.
    """

    def __init__(self, model: nn.Module, x: Tensor, task: int = 0) -> None:
        labels = torch.full((len(x),), task, device=x.device)
        with torch.no_grad(), evaluating(model):
            seen = calls(model, lambda: avalanche_forward(model, x, labels))
        head = last_layer(seen)
        if head is None:
            raise _no_maps(model)
        pooled, logits = next((given, out) for module, given, out in seen if module is head)
        weight = getattr(head, "weight", None)
        if not isinstance(weight, Tensor) or not isinstance(logits, Tensor):
            raise _no_maps(model)
        if weight.shape != (logits.shape[1], pooled.shape[1]):
            raise _no_maps(model)
        self.classifier = head
        self.row_of = getattr(model, "index_of", None) or _rows_of(model, head)
        self.sources = _sources(model, seen, pooled)

    @contextmanager
    def features(self) -> Iterator[list[Tensor]]:
        """Within, each forward pass appends its feature maps ``(N, K, h, w)`` to the list."""
        caught: list[Tensor] = []
        parts: list[Tensor] = []

        def note(source: FeatureMaps, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            parts.append(inputs[0] if source.takes_input else output)
            if len(parts) == len(self.sources):
                caught.append(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])
                parts.clear()

        with ExitStack() as stack:
            for source in self.sources:
                handle = source.module.register_forward_hook(
                    lambda _, inputs, output, source=source: note(source, inputs, output)
                )
                stack.callback(handle.remove)
            yield caught

    def maps(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return maps ``(N, h, w)`` of each image's own class; the classifier is constant."""
        rows = labels.long() if self.row_of is None else self.row_of(labels)
        weight: Tensor = self.classifier.weight  # type: ignore[assignment]
        return class_activation_map(features, weight.detach(), rows)


def _rows_of(model: nn.Module, classifier: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return a map from class ids to rows of ``classifier``, if a growing head has it."""
    for module in model.modules():
        if isinstance(module, GrowingClassifier) and module.classifier is classifier:
            return module.arrival.indices
    return None


def _sources(model: nn.Module, seen: Seen, pooled: Tensor) -> list[FeatureMaps]:
    """Find what the classifier is given, in the order of the calls."""
    found: list[FeatureMaps] = []
    end = pooled.shape[1]
    while end:
        source, width = _source(model, seen, pooled[:, :end])
        found.append(source)
        end -= width
    return found[::-1]


def _source(model: nn.Module, seen: Seen, pooled: Tensor) -> tuple[FeatureMaps, int]:
    """Find the maps whose means end ``pooled``, and how many they are."""
    close = 1e-4 * pooled.abs().amax()
    for module, given, output in reversed(seen):
        for tensor, is_input in ((output, False), (given, True)):
            if not isinstance(tensor, Tensor) or tensor.ndim != 4 or tensor[0, 0].numel() == 1:
                continue
            mean, width = tensor.mean((2, 3)), tensor.shape[1]
            if width > pooled.shape[1] or len(mean) != len(pooled):
                continue
            if (mean - pooled[:, -width:]).abs().amax() <= close:
                return FeatureMaps(module, is_input), width
    raise _no_maps(model)


def _no_maps(model: nn.Module) -> UserError:
    return UserError(
        f"{type(model).__name__} has no class activation maps: they need a linear classifier on "
        "feature maps of more than one pixel that are averaged over the image, as in a ResNet. "
        "Use such a network, or boxes that do not look at the image ('center', 'random')"
    )
