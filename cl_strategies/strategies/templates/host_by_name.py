"""What another method is trained on, by its name with options behind a colon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cl_strategies.errors import unknown_name
from cl_strategies.registry import Entry


def host_by_name(host: str, entries: Iterable[Entry], *, plain: str) -> Any | None:
    """Return the host of this name.

    :param host: a name of ``entries``, with options behind a colon, such as
        ``"foster:compress_epochs=20,beta=0.95"``.
    :param plain: name of training without a host, which takes no options.
    :returns: ``None`` for ``plain``.
    :raises UserError: for an unknown name or option, or an option out of its range.
    """
    name, _, settings = host.partition(":")
    known = {entry.name: entry for entry in entries}
    if name == plain and not settings:
        return None
    if name not in known:
        raise unknown_name("host", name, [plain, *known])
    entry = known[name]
    return entry.load()(**entry.parse_options(settings))
