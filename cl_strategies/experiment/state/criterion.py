"""The criterion of a strategy in a state: plugins may replace it during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.hidden_code import CODE
from cl_strategies.experiment.state.modules import is_loss
from cl_strategies.experiment.state.objects import decode_attributes, encode_attributes

if TYPE_CHECKING:
    from cl_strategies.experiment.state.walker import Walker

_PATH = "strategy._criterion"


def capture_criterion(strategy: Any, walker: Walker) -> dict[str, Any]:
    """Its class, and its weights and attributes; a function is known by its name alone."""
    criterion = strategy._criterion
    node: dict[str, Any] = {"name": _name(criterion)}
    is_plugin = any(criterion is plugin for plugin in strategy.plugins)
    if is_plugin or isinstance(criterion, (nn.Module, *CODE)):
        return node | {"value": walker.encode(criterion, _PATH)}
    return node | {"attributes": encode_attributes(criterion, walker, _PATH)}


def restore_criterion(strategy: Any, node: Mapping[str, Any], walker: Walker) -> None:
    """:raises UserError: if the strategy has another criterion, and it is no loss of PyTorch's."""
    criterion = strategy._criterion
    if _name(criterion) != node["name"] and not node["name"].startswith("torch.nn.modules.loss."):
        raise UserError(
            f"the state was captured with the criterion {node['name']}, but this strategy has "
            f"{_name(criterion)}: a criterion that a plugin replaces must be a loss of torch.nn"
        )
    if "value" in node:
        replaced = walker.decode(node["value"], criterion)
        if replaced is not criterion and not is_loss(replaced):
            raise UserError("the state would replace the criterion by something else")
        strategy._criterion = replaced
    else:
        decode_attributes(criterion, node["attributes"], walker)


def _name(criterion: Any) -> str:
    kind = criterion if hasattr(criterion, "__qualname__") else type(criterion)
    return f"{kind.__module__}.{kind.__qualname__}"
