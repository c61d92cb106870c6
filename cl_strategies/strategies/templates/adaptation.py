"""Methods of domain adaptation, by name."""

from __future__ import annotations

from typing import Annotated

from avalanche.core import SupervisedPlugin
from typing_extensions import Doc

from cl_strategies.plugins.adaptation.plugin import AdaptationPlugin
from cl_strategies.registry import Entry
from cl_strategies.strategies.templates.host_by_name import host_by_name
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Since

#: Why parts of an experience cannot be learned one after the other.
WHOLE = "lets the adaptation grow over the epochs of a whole experience"
_METHODS = "cl_strategies.plugins.adaptation"
_FIXED = frozenset({"target"})
#: Methods that can host a quantized network, by name.
ADAPTATIONS: tuple[Entry, ...] = (
    Entry(name="dann", factory=f"{_METHODS}.dann:DANNPlugin", summary="DANN", fixed=_FIXED),
    Entry(name="dsan", factory=f"{_METHODS}.dsan:DSANPlugin", summary="DSAN", fixed=_FIXED),
)


def make_adaptation(host: str) -> AdaptationPlugin | None:
    """Return the method of adaptation of this name.

    :param host: a name of :data:`ADAPTATIONS`, with options behind a colon, such as
        ``"dsan:strength=0.3"``.
    :returns: ``None`` for ``"naive"``, which trains on what comes with labels.
    :raises UserError: for an unknown name or option, or an option out of its range.
    """
    return host_by_name(host, ADAPTATIONS, plain="naive")


@hyperparameters
def host_plugins(
    *,
    host: Annotated[
        str,
        Doc(
            "What is trained: ``naive``; or ``dann`` or ``dsan``, on a stream with a target "
            "domain, with options behind a colon, such as "
            '``"dsan:strength=0.3"``.'
        ),
        Since("0.2"),
    ] = "naive",
) -> tuple[SupervisedPlugin, ...]:
    """Return the plugin of the host, if there is one."""
    adaptation = make_adaptation(host)
    return () if adaptation is None else (adaptation,)
