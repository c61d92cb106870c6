"""Class-incremental methods that CIM and MRDC plug into, by name."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.registry import Entry
from cl_strategies.strategies.templates.host_by_name import host_by_name

_METHODS = "cl_strategies.plugins.incremental.methods"
HOSTS: tuple[Entry, ...] = (
    Entry(name="icarl", factory=f"{_METHODS}:ICaRLMethod", summary="iCaRL"),
    Entry(name="wa", factory=f"{_METHODS}:WeightAligningMethod", summary="WA"),
    Entry(name="lucir", factory=f"{_METHODS}:LUCIRMethod", summary="LUCIR"),
    Entry(name="der-expandable", factory=f"{_METHODS}:ExpandableMethod", summary="DER"),
    Entry(name="foster", factory=f"{_METHODS}:FosterMethod", summary="FOSTER"),
)
HostName = Annotated[
    str,
    Doc(
        "The method that is trained: ``replay``, ``icarl``, ``wa``, ``lucir``, ``der-expandable`` "
        'or ``foster``, with options behind a colon, such as ``"foster:compress_epochs=20"``.'
    ),
]


def make_host(host: str) -> IncrementalMethod[Any] | None:
    """Return the method of this name.

    :param host: A name of :data:`HOSTS`, with options behind a colon, such as
        ``"foster:compress_epochs=20,beta=0.95"``.
    :returns: ``None`` for ``"replay"``, which trains the model as it is.
    :raises UserError: for an unknown name or option, or an option out of its range.
    """
    return host_by_name(host, HOSTS, plain="replay")


def host_loss(strategy: Any, network: Any, x: Tensor, y: Tensor) -> Tensor:
    """Return the loss of a strategy's method, for the inner step of CIM.

    :param network: ``strategy.model``, perhaps with other weights.
    """
    with strategy.model.watching() as seen:
        network(x)
    loss: Tensor = strategy.learner.loss(strategy, seen[-1], x, strategy.model.index_of(y))
    return loss
