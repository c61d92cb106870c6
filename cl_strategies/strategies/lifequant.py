"""LifeQuant (Chen, Yang, Chen, "Overcoming Forgetting Catastrophe in Quantization-Aware Training",
ICCV 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.optim import Optimizer

from cl_strategies.plugins.quantization.balanced_plugin import BalancedLossPlugin
from cl_strategies.plugins.quantization.inter_task import InterTaskQuantizationPenaltyPlugin
from cl_strategies.plugins.quantization.lifequant import ProxQ
from cl_strategies.plugins.quantization.plugin import QuantizationPlugin
from cl_strategies.plugins.quantization.replay import RatioReplayPlugin
from cl_strategies.strategies.base import Strategy
from cl_strategies.strategies.copies import own_copy


class LifeQuant(Strategy):
    """Low-bit training in one standard space for all tasks, with replay of a share of old data
    under a balanced loss, and a penalty on moving quantised weights that old tasks need.

    A copy of ``model``, with one classifier, is quantised and trained; the criterion must be the
    plain cross-entropy, which the balanced loss replaces in training. The authors train with SGD
    and a momentum of 0.9.

    :param weight_bits: 1 to 8, or 32.
    :param activation_bits: 1 to 8, or 32.
    :param alpha: bound of the standard space, in units of the largest level; the paper tries
        0.25 to 1.5.
    :param clamp: clip to the levels, to have ``2**bits``; ``False`` as released.
    :param replay_ratio: share of each class of old data that is kept and trained on again.
    :param ball_form: ``"probability"``, ``"logit"`` (Theorem 5.3 as printed), ``"released"`` or
        ``"none"``, which trains with the cross-entropy.
    :param strength: factor of the penalty. The authors use 100 to 200 with gradients averaged over
        batches of 128, which are about 128 times smaller when squared.
    :param penalty_form: ``"standard"``: quantised weights; ``"released"``: latent parameters.
    :param importance_samples: training samples per experience to take importances from.
    :param importance_batch: samples per gradient; 1 is the diagonal of the Fisher matrix.
    :param skip: patterns of names of layers to leave alone.
    :param first_bits: bits of the first layer's weights; ``None``: ``weight_bits``.
    :param last_bits: bits of the last layer; 32 leaves it alone.
    :param example: a batch ``(N, ...)``, for a model whose code depends on values or shapes, so
        that the order of its layers cannot be read from it.
    :param template: arguments of every strategy, see
        :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: if the model cannot be quantised, or for options out of range.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        weight_bits: int = 4,
        activation_bits: int = 4,
        alpha: float = 1.0,
        clamp: bool = True,
        replay_ratio: float = 0.2,
        ball_form: str = "probability",
        strength: float = 1.0,
        penalty_form: str = "standard",
        importance_samples: int = 256,
        importance_batch: int = 1,
        skip: Sequence[str] = (),
        first_bits: int | None = None,
        last_bits: int = 32,
        example: Tensor | None = None,
        **template: Any,
    ) -> None:
        quantization = QuantizationPlugin(
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            quantizer=ProxQ(alpha=alpha, clamp=clamp),
            skip=skip,
            first_bits=first_bits,
            last_bits=last_bits,
            example=example,
        )
        balanced = None if ball_form == "none" else BalancedLossPlugin(ball_form)
        self.penalty = InterTaskQuantizationPenaltyPlugin(
            strength,
            form=penalty_form,
            samples=importance_samples,
            batch_size=importance_batch,
            retain=0.0 if replay_ratio else 1.0,
            balanced=balanced,
        )
        own: list[SupervisedPlugin] = [self.penalty, *([balanced] if balanced else [])]
        own.append(RatioReplayPlugin(replay_ratio))
        model = own_copy(model, optimizer)
        super().__init__(method=[quantization, *own], model=model, optimizer=optimizer, **template)
        quantization.prepare(self)
