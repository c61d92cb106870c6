"""The whole training state of a strategy as tensors and plain data.

:func:`capture_state` after an experience and :func:`restore_state` on a freshly built strategy
continue a run with bit-identical results, provided that the random generators are seeded at the
start of each experience. Nothing is pickled but tensors and plain data, so that a checkpoint
loads with ``torch.load(weights_only=True)``.

What is captured: the model, with what its modules keep in plain attributes and buffers; the
optimizer; the criterion; the sizes and epochs of training; each plugin, through ``state_dict()``
and ``load_state_dict()`` if it has both, else attribute by attribute
(:mod:`cl_strategies.experiment.state.codecs` says which types); and what the strategy has beyond
Avalanche's template, attribute by attribute or, unless it returns ``None``, through
``method_state_dict()`` and ``load_method_state_dict(state, experiences)``. Exemplars are captured
by the ``sample_ids`` of the stream: a plugin that changes the samples it stores must have a
``state_dict()``. What a plugin makes anew for each experience it may name in a class attribute
``transient_attributes``.

Nothing is left out in silence: :func:`check_resumable` names what a state cannot hold, and
:func:`restore_state` captures what it has restored and compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.codecs import CODECS
from cl_strategies.experiment.state.comparison import differences
from cl_strategies.experiment.state.criterion import capture_criterion, restore_criterion
from cl_strategies.experiment.state.modules import decode_module, encode_module
from cl_strategies.experiment.state.objects import decode_attributes, encode_attributes, is_stateful
from cl_strategies.experiment.state.optimizer import capture_optimizer, restore_optimizer
from cl_strategies.experiment.state.samples import payload_bytes
from cl_strategies.experiment.state.walker import Walker, is_transient

FORMAT = 3

#: What Avalanche's template itself keeps: configuration, what this module treats by name, and
#: what is empty between experiences.
TEMPLATE_ATTRIBUTES = frozenset(
    {
        "_criterion",
        "_distributed_check",
        "_eval_streams",
        "_stop_training",
        "adapted_dataset",
        "clock",
        "current_eval_stream",
        "dataloader",
        "device",
        "eval_every",
        "eval_mb_size",
        "evaluator",
        "experience",
        "is_training",
        "loss",
        "mb_output",
        "mbatch",
        "model",
        "optimized_param_id",
        "optimizer",
        "plugins",
        "retain_graph",
        "train_epochs",
        "train_mb_size",
    }
)


#: What plugins may change during training, of the template's own attributes.
SETTINGS = ("eval_mb_size", "retain_graph", "train_epochs", "train_mb_size")


def check_resumable(strategy: Any) -> None:
    """Check, before any training, that a run of ``strategy`` could be continued elsewhere.

    :param strategy: as built, or between two experiences. What a plugin creates later is found by
        a call after the first experience.
    :raises UserError: naming every attribute that a state cannot hold, and what to do about it.
    """
    capture_state(strategy)


def capture_state(strategy: Any) -> dict[str, Any]:
    """Return the state of ``strategy`` between two experiences; later training does not change it.

    :raises UserError: in the middle of an experience, and for state that is neither tensors nor
        plain data, naming each such attribute.
    """
    return capture_with_bytes(strategy)[0]


def capture_with_bytes(strategy: Any) -> tuple[dict[str, Any], int]:
    """:func:`capture_state` and :func:`state_bytes` in one walk.

    :raises UserError: as :func:`capture_state`.
    """
    if strategy.experience is not None:
        raise UserError("a strategy can be captured between two experiences, not within one")
    walker = Walker(strategy, CODECS)
    # In the order in which the parts are restored: the later ones may refer to the earlier.
    method = _capture_method(strategy, walker)
    carried = walker.bytes
    shared = {
        "format": FORMAT,
        "strategy": type(strategy).__name__,
        "device": strategy.device.type,
        "model": encode_module(strategy.model, walker, "model"),
        "optimizer": capture_optimizer(strategy, walker),
        "settings": {name: getattr(strategy, name) for name in SETTINGS},
        "criterion": capture_criterion(strategy, walker),
    }
    walker.bytes = carried  # what was met since is not the method's
    state = {**shared, "plugins": _capture_plugins(strategy, walker), **method}
    if method.keys() != {"method"}:
        name = type(strategy).__name__
        state["attributes"] = encode_attributes(strategy, walker, name, skip=TEMPLATE_ATTRIBUTES)
    if walker.problems:
        raise UserError("; ".join(dict.fromkeys(walker.problems)))
    return state, _bytes(walker)


def restore_state(
    strategy: Any, state: Mapping[str, Any], *, experiences_seen: Sequence[Any]
) -> None:
    """Bring a freshly built strategy to ``state``.

    :param strategy: of the same configuration as the captured one, never trained.
    :param state: what :func:`capture_state` returned.
    :param experiences_seen: the train experiences up to then, in the order of training.
    :raises UserError: if ``state`` is of another configuration, or the strategy does not take it
        on as it is.
    """
    _check(strategy, state)
    walker = Walker(strategy, CODECS, experiences_seen)
    with torch.random.fork_rng(devices=[]):  # new heads draw weights that are then replaced
        _rebuild_model(strategy, state, walker, experiences_seen)
    walker.refresh_landmarks()
    decode_module(state["model"], walker, strategy.model, "model")
    restore_optimizer(strategy, state["optimizer"], walker)
    for name in SETTINGS:
        if type(getattr(strategy, name)) is not type(state["settings"][name]):
            raise UserError(f"the state has {state['settings'][name]!r} for {name}")
        setattr(strategy, name, state["settings"][name])
    restore_criterion(strategy, state["criterion"], walker)
    for plugin, saved in zip(_stateful_plugins(strategy), state["plugins"], strict=True):
        if is_stateful(plugin):
            plugin.load_state_dict(walker.decode(saved["state"]))
        else:
            decode_attributes(plugin, saved["attributes"], walker)
    if "attributes" in state:
        decode_attributes(strategy, state["attributes"], walker, skip=TEMPLATE_ATTRIBUTES)
    differing = differences(state, capture_state(strategy))
    if differing:
        raise UserError(
            f"what was restored differs from the state at {', '.join(differing[:3])}: the state is "
            "of another configuration, or its owner does not restore all that it captures"
        )


def state_bytes(strategy: Any) -> int:
    """Return bytes that the method carries to the next experience.

    Counted: tensors and arrays of plugins and strategy (importances, anchors), copies of the
    model (teachers, the models of single-task), and stored exemplars at the size of the stored
    image plus 8 bytes for the label. Not counted: the model, the optimizer, random generators,
    numbers and indices, and what no state can hold.
    """
    walker = Walker(strategy, CODECS)
    _capture_plugins(strategy, walker)
    if "method" not in _capture_method(strategy, walker):
        encode_attributes(strategy, walker, type(strategy).__name__, skip=TEMPLATE_ATTRIBUTES)
    return _bytes(walker)


def _bytes(walker: Walker) -> int:
    return walker.bytes + sum(payload_bytes(dataset) for dataset in walker.datasets)


def _capture_method(strategy: Any, walker: Walker) -> dict[str, Any]:
    state = strategy.method_state_dict() if hasattr(strategy, "method_state_dict") else None
    if state is None:
        return {}
    return {"method": walker.encode(state, f"{type(strategy).__name__}.method_state_dict()")}


def _capture_plugins(strategy: Any, walker: Walker) -> list[dict[str, Any]]:
    plugins = []
    for plugin in _stateful_plugins(strategy):
        name = type(plugin).__name__
        if is_stateful(plugin):
            saved = {"state": walker.encode(plugin.state_dict(), f"{name}.state_dict()")}
        else:
            saved = {"attributes": encode_attributes(plugin, walker, name)}
        plugins.append({"class": name, **saved})
    return plugins


def _stateful_plugins(strategy: Any) -> list[Any]:
    """Return all plugins but the evaluator, which belongs to the caller."""
    return [plugin for plugin in strategy.plugins if not is_transient(plugin)]


def _rebuild_model(
    strategy: Any, state: Mapping[str, Any], walker: Walker, experiences: Sequence[Any]
) -> None:
    """Give the model the heads and units that it had; their values come later."""
    strategy.model.to(strategy.device)
    if "method" in state:
        strategy.load_method_state_dict(walker.decode(state["method"]), experiences)
        return
    strategy.is_training = True
    strategy.model.train()
    for strategy.experience in experiences:
        strategy.model = strategy.model_adaptation()
    strategy.is_training, strategy.experience = False, None


def _check(strategy: Any, state: Mapping[str, Any]) -> None:
    plugins = [type(plugin).__name__ for plugin in _stateful_plugins(strategy)]
    found = {
        "format": FORMAT,
        "strategy": type(strategy).__name__,
        "device": strategy.device.type,
        "plugins": plugins,
    }
    saved = {**state, "plugins": [entry["class"] for entry in state["plugins"]]}
    for key, value in found.items():
        if saved[key] != value:
            raise UserError(
                f"the state was captured with the {key} {saved[key]}, but this strategy has "
                f"{value}: build it from the configuration that made the state"
            )
