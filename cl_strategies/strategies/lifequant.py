"""LifeQuant (Chen, Yang, Chen, "Overcoming Forgetting Catastrophe in Quantization-Aware Training",
ICCV 2023)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from avalanche.core import SupervisedPlugin
from typing_extensions import Doc

from cl_strategies.plugins.quantization.balanced_loss import BalancedLossPlugin
from cl_strategies.plugins.quantization.functional.balanced_loss import BalancedForm
from cl_strategies.plugins.quantization.inter_task_penalty import (
    InterTaskQuantizationPenaltyPlugin,
)
from cl_strategies.plugins.quantization.quantizers.proxq import ProxQ, StandardSpace
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme
from cl_strategies.plugins.quantization.ratio_replay import RatioReplayPlugin
from cl_strategies.plugins.quantization.weight_importance import WeightImportance
from cl_strategies.plugins.regularization.options import Strength
from cl_strategies.strategies.templates.quantized import QuantizedStrategy
from cl_strategies.validation.hyperparameters import build_part, hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters(parts=(WeightImportance, RatioReplayPlugin))
def lifelong_plugins(
    *,
    strength: Strength = 1.0,
    ball_form: Annotated[
        Literal[BalancedForm, "none"],
        Doc(
            'The balanced loss: ``"probability"``: as in the proof of the theorem; ``"logit"``: '
            'the theorem as printed; ``"released"``: the authors\' code; ``"prior"``: the balanced '
            'softmax, which is not LifeQuant\'s; ``"none"``: the cross-entropy.'
        ),
        Equation("Theorem 5.3"),
    ] = "probability",
    **options: Any,
) -> tuple[SupervisedPlugin, ...]:
    """Return the penalty, the balanced loss if there is one, and the replay."""
    replay: RatioReplayPlugin = build_part(RatioReplayPlugin, options)
    balanced = None if ball_form == "none" else BalancedLossPlugin(form=ball_form)
    penalty = InterTaskQuantizationPenaltyPlugin(
        strength=strength,
        # replayed data bring the importances of old tasks back
        decay_factor=0.0 if replay.replay_ratio else 1.0,
        balanced=balanced,
        **options,
    )
    return (penalty, replay) if balanced is None else (penalty, balanced, replay)


class LifeQuant(QuantizedStrategy):
    """Low-bit training in one standard space for all tasks, with replay of a share of old data
    under a balanced loss, and a penalty on moving quantized weights that old tasks need.

    A copy of ``model``, with one classifier, is quantized and trained; the criterion must be the
    plain cross-entropy, which the balanced loss replaces in training. The authors train with SGD
    and a momentum of 0.9, and with a ``strength`` of 100 to 200 for gradients averaged over batches
    of 128, which are about 128 times smaller when squared.

    :ivar penalty: the plugin of the penalty.
    :raises UserError: if the model cannot be quantized, or for an option out of its range.
    """

    parts = (StandardSpace, lifelong_plugins, *QuantizedStrategy.parts)

    def make_parts(self, options: dict[str, Any]) -> tuple[Scheme, tuple[SupervisedPlugin, ...]]:
        scheme = ProxQ(**vars(build_part(StandardSpace, options)))
        plugins: tuple[SupervisedPlugin, ...] = build_part(lifelong_plugins, options)
        self.penalty = plugins[0]
        return scheme, plugins
