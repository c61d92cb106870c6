"""AlignQ (Chen, Yang, Chen, "AlignQ: Alignment Quantization with ADMM-based Correlation
Preservation", CVPR 2022)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from avalanche.core import SupervisedPlugin
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.correlation import CorrelationOptions, CorrelationPlugin
from cl_strategies.plugins.quantization.functional.admm import CorrelationForm
from cl_strategies.plugins.quantization.quantizers.alignq import AlignQScheme
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme
from cl_strategies.plugins.quantization.quantizers.uniform import Uniform
from cl_strategies.strategies.templates.adaptation import WHOLE, host_plugins
from cl_strategies.strategies.templates.quantized import QuantizedStrategy
from cl_strategies.validation.hyperparameters import build_part, hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters(parts=(AlignQScheme,))
def alignment_scheme(
    *,
    alignment: Annotated[
        bool,
        Doc(
            "Map weights and activations through the normal distribution function; ``False``: "
            'uniform min-max ranges instead, the supplement\'s "ADMM only", which needs '
            '``measured_on="quantized"``.'
        ),
        Equation("supplement, Table 2"),
    ] = True,
    **options: Any,
) -> Scheme:
    """Return AlignQ's quantizers, or those of its baseline."""
    return AlignQScheme(**options) if alignment else Uniform()


@hyperparameters(parts=(CorrelationOptions,))
def correlation_plugins(
    *,
    correlation: Annotated[
        Literal[CorrelationForm, "none"],
        Doc(
            'Loss of the correlations: ``"textbook"``: the augmented Lagrangian; ``"released"``: '
            'the authors\' code; ``"penalty"``: without dual variables; or ``"none"``.'
        ),
        Equation("Sec. 3.2"),
    ] = "textbook",
    **options: Any,
) -> tuple[SupervisedPlugin, ...]:
    """Return the plugin that keeps the correlations between samples, if there is one."""
    if correlation == "none":
        return ()
    return (CorrelationPlugin(form=correlation, **options),)


class AlignQ(QuantizedStrategy):
    """Fine-tuning of a low-bit network whose levels are uniform in the normal distribution
    function, with the correlations between samples kept.

    A copy of ``model``, best one with a BatchNorm after each layer, is quantized and trained.
    Nothing else works against forgetting: combine it with a plugin that does. The authors train
    with SGD and a momentum of 0.9. 32 ``activation_bits`` leave no correlations to keep.

    :raises UserError: if the model cannot be quantized, or for an option out of its range.
    """

    parts = (alignment_scheme, correlation_plugins, host_plugins, *QuantizedStrategy.parts)

    def make_parts(self, options: dict[str, Any]) -> tuple[Scheme, tuple[SupervisedPlugin, ...]]:
        scheme: Scheme = build_part(alignment_scheme, options)
        host = build_part(host_plugins, options)
        correlation: tuple[SupervisedPlugin, ...] = build_part(correlation_plugins, options)
        if isinstance(scheme, Uniform):
            _check_measured(correlation)
        if host:
            self.needs_whole_experiences = WHOLE  # type: ignore[misc]
        # The host runs the target through the network before the correlations are counted.
        return scheme, (*host, *correlation)


def _check_measured(correlation: tuple[SupervisedPlugin, ...]) -> None:
    """:raises UserError: if correlations are of an alignment that there is not."""
    for plugin in correlation:
        if isinstance(plugin, CorrelationPlugin) and plugin.measured_on == "aligned":
            raise UserError(
                "alignment=False leaves no aligned activations, whose correlations "
                "measured_on='aligned' would keep: give measured_on='quantized', or "
                "correlation='none'"
            )
