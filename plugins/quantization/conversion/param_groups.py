"""Optimizer groups for what quantizers learn, beside Avalanche's handling of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer

from cl_strategies.models.param_groups import place_new
from cl_strategies.plugins.protocols.training import OptimizingStrategy
from cl_strategies.plugins.quantization.conversion.layers import learned_parameters

#: Learning rate of what quantizers learn, as a share of that of the optimizer's first group. At the
#: full rate some trainings of LSQ lose a layer, whose step runs ahead of its weights.
STEP_RATE = 0.1


def add_groups(
    optimizer: Optimizer,
    model: nn.Module,
    *,
    weight_decay: float | None = None,
    lr: float | None = None,
    followed: Mapping[str, nn.Parameter] | None = None,
) -> None:
    """Give what quantizers learn groups of its own in ``optimizer``.

    A step that decays like a weight shrinks the range that it stands for; PACT's clipping value
    has a decay of its own. Where the gradient of a step is zero at its best value (LLSQ, PACT)
    there is no momentum, which would carry the step on.

    :param optimizer: optimizer of the model's other parameters, or of all of them: learned steps
        leave the groups of other parameters. Options of its first group hold for the rest.
    :param model: a quantized model.
    :param weight_decay: weight decay of all of them; ``None``: what the quantizer's paper uses.
    :param lr: their learning rate; ``None``: :data:`STEP_RATE` times that of the optimizer's first
        group.
    :param followed: parameters that Avalanche follows by name: where the model has been replaced
        by a copy, it puts the new ones in the places of the old.
    """
    learned = {id(parameter): parameter for _, parameter in learned_parameters(model)}
    _leave_shared_groups(optimizer, learned)
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    before = followed or {}
    known |= {id(p) for name, p in model.named_parameters() if id(before.get(name)) in known}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for quantizer, parameter in learned_parameters(model):
        if id(parameter) not in known:
            decay = quantizer.decay if weight_decay is None else weight_decay
            groups.setdefault((decay, quantizer.takes_momentum), []).append(parameter)
    base = {
        k: v for k, v in optimizer.param_groups[0].items() if k not in ("params", "param_names")
    }
    for (decay, momentum), parameters in groups.items():
        group = {**base, "weight_decay": decay, **_rates(base, lr)}
        if not momentum:
            group.update(_without_momentum(base))
        optimizer.add_param_group({**group, "params": parameters})


def _leave_shared_groups(optimizer: Optimizer, learned: Mapping[int, nn.Parameter]) -> None:
    """Take learned steps out of groups that hold other parameters as well."""
    for group in optimizer.param_groups:
        others = [p for p in group["params"] if id(p) not in learned]
        if others and len(others) < len(group["params"]):
            if "param_names" in group:
                names = zip(group["param_names"], group["params"], strict=True)
                group["param_names"] = [name for name, p in names if id(p) not in learned]
            group["params"] = others


def _rates(base: Mapping[str, Any], lr: float | None) -> dict[str, Any]:
    """Return the learning rate, and the rates that schedules keep beside it."""
    names = [name for name in base if name.endswith("lr") and base[name] is not None]
    return {name: base[name] * STEP_RATE if lr is None else lr for name in names}


def _without_momentum(base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a group, in SGD, RMSprop or Adam's family, that keep no average of
    gradients to go on by."""
    options: dict[str, Any] = {"momentum": 0.0, "nesterov": False}
    changed = {name: value for name, value in options.items() if name in base}
    if "betas" in base:
        changed["betas"] = (0.0, *base["betas"][1:])
    return changed


def keep_groups(
    strategy: OptimizingStrategy, *, weight_decay: float | None, lr: float | None
) -> None:
    """Make ``strategy`` sort new parameters into the groups of its optimizer, from now on.

    Avalanche puts every parameter of the model into the optimizer, and with several groups it
    gives up on one that it cannot place, such as the first head of a multi-head model. A plugin
    has no callback between the adaptation of the model and ``make_optimizer``, hence this takes
    the place of that method.

    :param strategy: a strategy with a quantized model.
    :param weight_decay: weight decay of learned steps, see :func:`add_groups`.
    :param lr: learning rate of learned steps, see :func:`add_groups`.
    """
    add_groups(strategy.optimizer, strategy.model, weight_decay=weight_decay, lr=lr)
    strategy.make_optimizer = partial(_make_optimizer, strategy, weight_decay, lr)


def _make_optimizer(
    strategy: OptimizingStrategy, weight_decay: float | None, lr: float | None, **kwargs: Any
) -> None:
    optimizer, model = strategy.optimizer, strategy.model
    followed = strategy.optimized_param_id or {}
    add_groups(optimizer, model, weight_decay=weight_decay, lr=lr, followed=followed)
    steps = {id(parameter) for _, parameter in learned_parameters(model)}
    place_new(optimizer, model, known=followed, apart=steps)
    type(strategy).make_optimizer(strategy, **kwargs)
    # a strategy that fills its first group with all parameters puts steps there as well
    _leave_shared_groups(optimizer, {id(p): p for _, p in learned_parameters(model)})
