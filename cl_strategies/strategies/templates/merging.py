"""The strategy around methods that evaluate a merged network and train another."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

from torch import nn

from cl_strategies.plugins.merging.plugin import IMMMeanPlugin
from cl_strategies.plugins.merging.transfer import transfer_plugins
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.validation.hyperparameters import build_part


class MergingStrategy(Strategy):
    """Fine-tuning with transfer techniques; evaluations between experiences are of the merged
    network.

    :ivar plugin: what merges.
    """

    plugin_class: ClassVar[Callable[..., IMMMeanPlugin]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.parts = (cls.plugin_class, transfer_plugins)
        super().__init_subclass__(**kwargs)

    def __init__(self, **options: Any) -> None:
        self.plugin: IMMMeanPlugin = build_part(type(self).plugin_class, options)
        transfer = build_part(transfer_plugins, options)
        super().__init__(method=[self.plugin, *transfer], **options)

    def eval(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as Avalanche does; the model has its own parameters afterwards, also if that
        fails."""
        try:
            return super().eval(*args, **kwargs)
        finally:
            self.plugin.put_back(self.model)

    def merged_model(self) -> nn.Module:
        """Return a copy of the model with the merged parameters, to be kept, packed or exported."""
        with self.plugin.merged(self.model):
            return copy.deepcopy(self.model)
