"""Avalanche plugins; imported when they are first used."""

from typing import TYPE_CHECKING

from cl_strategies._lazy import lazy_exports

if TYPE_CHECKING:
    from cl_strategies.plugins.accelerators.autocast import AutocastPlugin as AutocastPlugin
    from cl_strategies.plugins.accelerators.channels_last import (
        ChannelsLastPlugin as ChannelsLastPlugin,
    )
    from cl_strategies.plugins.accelerators.compiled import CompilePlugin as CompilePlugin
    from cl_strategies.plugins.data.plugin import ResidentDataPlugin as ResidentDataPlugin
    from cl_strategies.plugins.exemplars.buffer import ByteBudgetBuffer as ByteBudgetBuffer
    from cl_strategies.plugins.exemplars.quality import MRDCPlugin as MRDCPlugin
    from cl_strategies.plugins.exemplars.replay import (
        CompressedReplayPlugin as CompressedReplayPlugin,
    )
    from cl_strategies.plugins.masking.plugin import CIMPlugin as CIMPlugin
    from cl_strategies.plugins.metrics.accuracy_matrix import AccuracyMatrix as AccuracyMatrix
    from cl_strategies.plugins.metrics.accuracy_matrix import cl_metrics as cl_metrics
    from cl_strategies.plugins.metrics.evaluation import (
        LeanEvaluationPlugin as LeanEvaluationPlugin,
    )
    from cl_strategies.plugins.projection.plugin import GPMPlugin as GPMPlugin
    from cl_strategies.plugins.quantization.balanced_plugin import (
        BalancedLossPlugin as BalancedLossPlugin,
    )
    from cl_strategies.plugins.quantization.inter_task import (
        InterTaskQuantizationPenaltyPlugin as InterTaskQuantizationPenaltyPlugin,
    )
    from cl_strategies.plugins.quantization.plugin import QuantizationPlugin as QuantizationPlugin
    from cl_strategies.plugins.regularization.alasso import ALASSOPlugin as ALASSOPlugin
    from cl_strategies.plugins.regularization.l2 import L2Plugin as L2Plugin
    from cl_strategies.plugins.regularization.pfr import PFRPlugin as PFRPlugin
    from cl_strategies.plugins.regularization.scp import SCPPlugin as SCPPlugin
    from cl_strategies.plugins.regularization.si import SIPlugin as SIPlugin
    from cl_strategies.plugins.seen_classes import SeenClassesPlugin as SeenClassesPlugin

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AutocastPlugin": "cl_strategies.plugins.accelerators.autocast",
        "ChannelsLastPlugin": "cl_strategies.plugins.accelerators.channels_last",
        "CompilePlugin": "cl_strategies.plugins.accelerators.compiled",
        "AccuracyMatrix": "cl_strategies.plugins.metrics.accuracy_matrix",
        "LeanEvaluationPlugin": "cl_strategies.plugins.metrics.evaluation",
        "ResidentDataPlugin": "cl_strategies.plugins.data.plugin",
        "cl_metrics": "cl_strategies.plugins.metrics.accuracy_matrix",
        "ALASSOPlugin": "cl_strategies.plugins.regularization.alasso",
        "L2Plugin": "cl_strategies.plugins.regularization.l2",
        "PFRPlugin": "cl_strategies.plugins.regularization.pfr",
        "SCPPlugin": "cl_strategies.plugins.regularization.scp",
        "GPMPlugin": "cl_strategies.plugins.projection.plugin",
        "QuantizationPlugin": "cl_strategies.plugins.quantization.plugin",
        "BalancedLossPlugin": "cl_strategies.plugins.quantization.balanced_plugin",
        "InterTaskQuantizationPenaltyPlugin": "cl_strategies.plugins.quantization.inter_task",
        "ByteBudgetBuffer": "cl_strategies.plugins.exemplars.buffer",
        "CIMPlugin": "cl_strategies.plugins.masking.plugin",
        "MRDCPlugin": "cl_strategies.plugins.exemplars.quality",
        "CompressedReplayPlugin": "cl_strategies.plugins.exemplars.replay",
        "SeenClassesPlugin": "cl_strategies.plugins.seen_classes",
        "SIPlugin": "cl_strategies.plugins.regularization.si",
    },
)
