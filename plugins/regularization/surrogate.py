"""What L2, SI and ALASSO share: one quadratic per parameter in place of the past losses."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.loss_terms.added_gradient import AddedGradient
from cl_strategies.plugins.regularization.flat_tensors import FlatLayout, copy_into_corner
from cl_strategies.plugins.regularization.options import Exclude, Strength
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class QuadraticSurrogate:
    """The penalty ``strength * sum(coefficient * (theta - center)**2)`` and the state behind it.

    A method is a subclass: :meth:`consolidate` says how important each parameter was, and
    :meth:`sides` which coefficient stands on which side of the center. The calls of one
    experience are :meth:`begin_experience`; :meth:`before_backward` and :meth:`after_backward`
    around each backward pass and :meth:`after_update` after each step of the optimizer; then
    :meth:`end_experience`. They need no Avalanche. However many backward passes lead to a step,
    the penalty is in the gradients once, and the task gradient is that of all of them.

    Every quantity is a flat tensor over all parameters that require a gradient, in float32
    (float64 if a parameter is). A step works in place on them: it allocates nothing, never waits
    for the device, and costs the same after one task as after a hundred.

    :raises UserError: for an option out of its range.
    """

    needs_path: ClassVar[bool] = True
    """Whether the method uses the path integral ``sum(-task gradient * displacement)``."""
    kept: ClassVar[Mapping[str, torch.dtype | None]] = {"center": None, "importance": None}
    """Quantities that outlive an experience and their types (``None``: a float type)."""

    def __init__(self, *, strength: Strength = 1.0, exclude: Exclude = ()) -> None:
        self.strength = strength
        self.exclude = tuple(exclude)
        self.experiences = 0
        self._layout = FlatLayout.of({})
        self._flat: dict[str, Tensor] = {}
        self._resting: dict[str, dict[str, Tensor]] = {}
        self._views: dict[str, list[Tensor]]
        self._parameters: list[Tensor]
        self._substitutes: list[Tensor | None]
        self._sides: tuple[Tensor, Tensor] | None
        self._tracking: bool
        self._added: AddedGradient
        self._release()

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        """Return the kept quantities after a task that ended at ``theta``; the center becomes
        ``theta`` unless it is among them.

        Elementwise; ``state`` holds the kept quantities before it and, if needed, ``"path"``.
        """
        raise NotImplementedError

    def sides(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Coefficients below the center and from it on; one tensor twice if they are equal."""
        return state["importance"], state["importance"]

    @torch.no_grad()
    def begin_experience(self, model: nn.Module) -> None:
        """Register new parameters, extend grown ones, drop vanished ones, start a new path.

        New entries have no penalty until the experience that trains them has ended. The state of
        a frozen parameter rests until it is trainable again.

        :raises UserError: if a parameter shrank, if ``model`` has none of the known ones, or if
            its parameters are on several devices.
        """
        if self.experiences == 0:
            self._flat, self._resting = {}, {}
        self._release()
        self._track(model)

    def before_backward(self) -> None:
        """Take the penalty out of gradients that the backward pass will add to.

        :raises UserError: if other code has changed them since :meth:`after_backward`.
        """
        self._added.take_out()

    @torch.no_grad()
    def after_backward(self, scale: float = 1.0) -> None:
        """Keep the task gradient and the parameters, then add the gradient of the penalty.

        A parameter without a gradient has a task gradient of zero and is penalized all the same.

        :param scale: what the gradients will be divided by before the optimizer's step.
        """
        if not self._parameters:
            return
        gradients = self._gradients()
        if self.needs_path:
            # A step that a gradient scaler skips has an infinite gradient and no displacement.
            for gradient, kept in zip(gradients, self._views["gradient"], strict=True):
                if gradient.dtype == kept.dtype:
                    torch.nan_to_num(gradient, 0.0, 0.0, 0.0, out=kept)
                else:
                    kept.copy_(gradient).nan_to_num_(0.0, 0.0, 0.0)
            if scale != 1:
                self._flat["gradient"].div_(scale)
        if self.needs_path or self._sides:
            torch._foreach_copy_(self._views["before"], self._parameters)
        if self._sides:
            flat = self._flat
            shift = torch.sub(flat["before"], flat["center"], out=flat["shift"])
            left, right = self._sides
            if left is right:
                shift.mul_(left)
            else:  # far faster on a CPU than torch.where
                below = torch.clamp_max(shift, 0, out=flat["below"])
                shift.clamp_min_(0).mul_(right).addcmul_(left, below)
            self._added.add(self._parameters, self._views["shift"], 2 * self.strength * scale)

    @torch.no_grad()
    def after_update(self) -> None:
        """Add to the path integral: minus the task gradient times the move that was made."""
        if not self.needs_path or not self._parameters:
            return
        torch._foreach_sub_(self._views["before"], self._parameters)
        self._flat["path"].addcmul_(self._flat["gradient"], self._flat["before"])

    @torch.no_grad()
    def refresh(self, model: nn.Module) -> None:
        """Follow parameters replaced in mid-experience, as by a head that grew in an evaluation."""
        if self._tracking:
            found = list(self._find(model).values())
            same = [a is b for a, b in zip(found, self._parameters, strict=False)]
            if len(found) != len(self._parameters) or not all(same):
                self._track(model)

    @torch.no_grad()
    def end_experience(self) -> None:
        """Take the importances of the finished task and move the center to the parameters."""
        if self._parameters:
            theta = self._layout.zeros()
            torch._foreach_copy_([*self._layout.split(theta).values()], self._parameters)
            self._flat = {"center": theta, **self.consolidate(self._flat, theta)}
        self.experiences += 1
        self._release()

    @torch.no_grad()
    def value(self, model: nn.Module) -> float:
        """Return the penalty at the parameters of ``model``, in units of the loss (for logging)."""
        parameters = dict(model.named_parameters())
        total = 0.0
        if self.experiences:
            for name, state in self._stored().items():
                if name not in parameters:
                    continue
                center = state["center"]
                corner = tuple(slice(length) for length in center.shape)
                shift = parameters[name][corner].to(center) - center
                left, right = self.sides(state)
                total += float((torch.where(shift < 0, left, right) * shift.square()).sum())
        return self.strength * total

    def named(self, quantity: str) -> dict[str, Tensor]:
        """Return a copy of ``"importance"``, ``"center"`` or another kept quantity by parameter
        name."""
        return {name: state[quantity].clone() for name, state in self._stored().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what outlives an experience, copied: plain data and tensors by parameter name."""
        parameters: dict[str, dict[str, Tensor]] = {
            name: {quantity: tensor.clone() for quantity, tensor in state.items()}
            for name, state in self._stored().items()
        }
        return {"experiences": self.experiences, "parameters": parameters}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the state, between two experiences, by one that :meth:`state_dict` made.

        :raises UserError: if another method made it.
        """
        for name, tensors in state["parameters"].items():
            if set(tensors) != set(self.kept):
                raise UserError(
                    f"the state of {name!r} holds {sorted(tensors)} and {type(self).__name__} "
                    f"needs {sorted(self.kept)}: load it into the method that saved it"
                )
        self.experiences = int(state["experiences"])
        self._flat = {}
        self._resting = {
            name: {quantity: tensor.clone() for quantity, tensor in tensors.items()}
            for name, tensors in state["parameters"].items()
        }
        self._release()

    def _find(self, model: nn.Module) -> dict[str, nn.Parameter]:
        return {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
            and not any(fnmatchcase(name, pattern) for pattern in self.exclude)
        }

    def _stored(self) -> dict[str, dict[str, Tensor]]:
        """Kept quantities of every known parameter: views, so copy before changing anything."""
        stored = dict(self._resting)
        if self._flat:
            views = {quantity: self._layout.split(self._flat[quantity]) for quantity in self.kept}
            for name in self._layout.shapes:
                stored[name] = {quantity: views[quantity][name] for quantity in self.kept}
        return stored

    def _track(self, model: nn.Module) -> None:
        known = self._stored()
        path = self._layout.split(self._flat["path"]) if "path" in self._flat else {}
        names = {name for name, _ in model.named_parameters()}
        if self.experiences and known and names.isdisjoint(known):
            raise UserError(
                f"none of the {len(known)} known parameters ({', '.join(sorted(known)[:3])}...) is "
                f"in the model ({', '.join(sorted(names)[:3])}...): was it replaced or wrapped "
                "between two experiences? Keep the names of its parameters"
            )
        found = self._find(model)
        layout = FlatLayout.of(found)
        flat = {quantity: layout.zeros(dtype) for quantity, dtype in self.kept.items()}
        if self.needs_path:
            flat["path"] = layout.zeros()
        views = {quantity: layout.split(tensor) for quantity, tensor in flat.items()}
        for name, parameter in found.items():
            views["center"][name].copy_(parameter)
            for quantity, old in known.get(name, {}).items():
                copy_into_corner(views[quantity][name], old, name=name)
            if name in path:
                copy_into_corner(views["path"][name], path[name], name=name)
        self._resting = {
            name: {quantity: tensor.clone() for quantity, tensor in state.items()}
            for name, state in known.items()
            if name in names and name not in found
        }
        self._layout, self._flat = layout, flat
        self._parameters = list(found.values())
        self._substitutes = [None] * len(self._parameters)
        self._sides = self.sides(flat) if self.experiences and self.strength else None
        self._tracking = True
        self._flat |= {name: layout.zeros() for name in self._buffers()}
        self._views = {name: [*layout.split(self._flat[name]).values()] for name in self._buffers()}

    def _buffers(self) -> list[str]:
        """Quantities that only the steps of the running experience use."""
        buffers = ["gradient", "before"] if self.needs_path else []
        if self._sides:
            left, right = self._sides
            buffers += ["before", "shift"] if left is right else ["before", "shift", "below"]
        return buffers

    def _gradients(self) -> list[Tensor]:
        """Return the gradients; zeros where there is none, attached if a penalty will be added."""
        gradients: list[Tensor] = []
        for index, parameter in enumerate(self._parameters):
            gradient = parameter.grad
            if gradient is None:
                gradient = self._substitutes[index]
                if gradient is None:
                    gradient = self._substitutes[index] = torch.zeros_like(parameter)
                gradient.zero_()
                if self._sides and parameter.requires_grad:
                    parameter.grad = gradient
            elif gradient.is_sparse:
                raise UserError(
                    "a parameter has a sparse gradient: use a dense layer (sparse=False), or "
                    "exclude it by name"
                )
            gradients.append(gradient)
        return gradients

    def _release(self) -> None:
        """Drop what only a running experience needs, references to parameters included."""
        self._flat = {name: flat for name, flat in self._flat.items() if name in self.kept}
        self._views = {}
        self._parameters = []
        self._substitutes = []
        self._sides = None
        self._tracking = False
        self._added = AddedGradient()
