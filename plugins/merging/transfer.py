"""How an experience learns from the network of the one before, beside starting there."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from avalanche.core import SupervisedPlugin
from typing_extensions import Doc

from cl_strategies.plugins.dropout.layers import InputRate, Rate
from cl_strategies.plugins.dropout.plugin import DropoutPlugin
from cl_strategies.plugins.merging.drop_transfer import DropTransferPlugin
from cl_strategies.plugins.regularization.l2 import L2Plugin
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
def transfer_plugins(
    *,
    l2_transfer: Annotated[
        float,
        Ge(0),
        Doc(
            "L2-transfer: strength of the penalty on the squared distance to the network of the "
            "experience before, without a factor 1/2."
        ),
    ] = 0.0,
    drop_transfer: Annotated[
        Rate,
        Doc(
            "Drop-transfer: rate of dropout of what hidden layers put out beside that network; "
            "the paper has 0.5."
        ),
    ] = 0.0,
    input_dropout: InputRate = 0.0,
) -> list[SupervisedPlugin]:
    """Return the plugins of the transfer techniques that are on.

    :raises UserError: for an option out of its range.
    """
    plugins: list[SupervisedPlugin] = []
    if l2_transfer:
        plugins.append(L2Plugin(strength=l2_transfer))
    if input_dropout:
        plugins.append(DropoutPlugin(input_dropout=input_dropout, hidden_dropout=0.0))
    if drop_transfer:
        plugins.append(DropTransferPlugin(drop_transfer=drop_transfer))
    return plugins
