"""Strategies that are one plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.validation.hyperparameters import build_part


class PluginStrategy(Strategy):
    """Fine-tuning with one plugin, whose options are the strategy's.

    :ivar plugin: the plugin.
    """

    plugin_class: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.parts = (cls.plugin_class,)
        super().__init_subclass__(**kwargs)

    def __init__(self, **options: Any) -> None:
        self.plugin = build_part(type(self).plugin_class, options)
        super().__init__(method=[self.plugin], **options)
