"""Plugins that guard earlier tasks, beside methods with which there is nothing left to guard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from avalanche.training import plugins as avalanche_plugins

from cl_strategies.errors import UserError
from cl_strategies.plugins.distillation.pfr import PFRPlugin
from cl_strategies.plugins.exemplars.replay.plugin import CompressedReplayPlugin
from cl_strategies.plugins.projection.plugin import GPMPlugin
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin

#: Those here and in Avalanche that penalize, project, distil, rehearse or replace parameters for
#: the sake of earlier tasks.
GUARDS: tuple[type, ...] = (
    SurrogatePlugin,
    PFRPlugin,
    GPMPlugin,
    CompressedReplayPlugin,
    avalanche_plugins.AGEMPlugin,
    avalanche_plugins.BiCPlugin,
    avalanche_plugins.CWRStarPlugin,
    avalanche_plugins.CoPEPlugin,
    avalanche_plugins.EWCPlugin,
    avalanche_plugins.FeatureDistillationPlugin,
    avalanche_plugins.FromScratchTrainingPlugin,
    avalanche_plugins.GDumbPlugin,
    avalanche_plugins.GEMPlugin,
    avalanche_plugins.GSS_greedyPlugin,
    avalanche_plugins.GenerativeReplayPlugin,
    avalanche_plugins.LFLPlugin,
    avalanche_plugins.LwFPlugin,
    avalanche_plugins.MASPlugin,
    avalanche_plugins.MIRPlugin,
    avalanche_plugins.RARPlugin,
    avalanche_plugins.RWalkPlugin,
    avalanche_plugins.ReplayPlugin,
    avalanche_plugins.SynapticIntelligencePlugin,
)


def refuse_guards(plugins: Iterable[Any], why: str) -> None:
    """Refuse methods against forgetting beside a strategy that cannot forget.

    :param plugins: of the strategy.
    :param why: what it is about the strategy.
    :raises UserError: for one of :data:`GUARDS`.
    """
    for plugin in plugins:
        if isinstance(plugin, GUARDS):
            raise UserError(
                f"{type(plugin).__name__} guards what earlier tasks have learned, but {why}: it "
                "has nothing to guard and would only disturb the training of later tasks; leave it "
                "out, or use it with a strategy such as Naive"
            )
