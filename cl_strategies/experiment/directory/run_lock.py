"""Who does a run: a lock that the system frees when its owner dies, and that says whose it is."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import re
import socket
import stat
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

from cl_strategies.errors import UserError
from cl_strategies.io.bounded import read_regular

logger = logging.getLogger(__name__)

#: Seconds of waiting until it is said, and then until it is said again: each time after twice as
#: long as before, but for this at most.
FIRST_WORD, SECOND_WORD, LONGEST_SILENCE = 0.5, 60.0, 1800.0
_FASTEST, _SLOWEST = 0.05, 1.0  # seconds between two looks at a lock that is not free
_LARGEST = 4096  # bytes of what an owner says of itself
_HOST = r"[A-Za-z0-9._-]{1,253}"
_LAST_SECOND = 253402300799  # of the year 9999
#: Locks of this process: the descriptor, the thread that took it, and the file.
_held: dict[int, tuple[int, Path]] = {}


class RunBusyError(UserError):
    """Another process is doing this run."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock.

    :param host: the name of its machine.
    :param since: seconds since 1970 by the clock of that machine.
    """

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since).astimezone()
        return f"process {self.pid} on {self.host}, since {since.isoformat(' ', 'seconds')}"


def owner_of(path: Path) -> Owner | None:
    """Return what the owner of the lock ``path`` says of itself; ``None`` if that is nothing of
    use.

    Anybody may have written the file, and it may be left from an owner before.
    """
    try:
        said = json.loads(read_regular(path, _LARGEST))
        pid, host, since = said["pid"], said["host"], said["since"]
        plausible = type(pid) is int and 0 < pid < 2**31 and type(since) in (int, float)
        if not (plausible and re.fullmatch(_HOST, host) and 0 <= since <= _LAST_SECOND):
            return None
        owner = Owner(pid, host, float(since))
        str(owner)
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    return owner


class RunLock:
    """The lock file ``path``: held by one process at a time, by the means of the system.

    The file stays where it is when the lock is released, empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, *, wait: bool = True) -> None:
        """Take the lock.

        :param wait: while another process holds it, and say so from time to time.
        :raises RunBusyError: if another process holds it, and ``wait`` is false, or this thread
            does, which would wait for itself.
        :raises OSError: if the file cannot be opened or locked.
        """
        began, next_word, pause = time.monotonic(), FIRST_WORD, _FASTEST
        while not self._take():
            mine = (threading.get_ident(), self.path.absolute())
            if not wait or mine in _held.values():
                raise RunBusyError(f"another process is doing {self.path.parent} ({self._whose()})")
            waited = time.monotonic() - began
            if waited >= next_word:
                logger.warning(
                    "waiting for %s, which another process is doing: %s; %s so far",
                    self.path.parent,
                    self._whose(),
                    _in_words(waited),
                )
                next_word = max(SECOND_WORD, min(2 * waited, waited + LONGEST_SILENCE))
            time.sleep(pause)
            pause = min(2 * pause, _SLOWEST)

    def release(self) -> None:
        """Give the lock back. What goes wrong is told, and undoes nothing of what was done."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or _held.pop(descriptor, None) is None:
            return  # that of the process which forked this one
        problem: OSError | None = None
        with suppress(OSError):  # who was the owner is overwritten by the next one
            os.ftruncate(descriptor, 0)
        try:
            unlock_descriptor(descriptor)
        except OSError as error:
            problem = error
        try:
            os.close(descriptor)  # which frees the lock, too
        except OSError as error:
            problem = problem or error
        if problem is not None:
            logger.warning(
                "the lock %s could not be given back (%s): what was done is kept. Should another "
                "command wait for it although this one has ended, delete the file, and look at "
                "the mount of its file system",
                self.path,
                problem.strerror or problem,
            )

    def _take(self) -> bool:
        """Return whether the lock is now held here."""
        descriptor = _opened(self.path)
        if descriptor is None:
            return False
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, f"{self.path} is not a regular file, delete it")
            taken = lock_descriptor(descriptor, blocking=False)
            # A file that was deleted while this waited for it guards nothing.
            taken = taken and os.fstat(descriptor).st_nlink > 0
        except BaseException:
            os.close(descriptor)
            raise
        if not taken:
            os.close(descriptor)
            return False
        _held[descriptor] = (threading.get_ident(), self.path.absolute())
        self._descriptor = descriptor
        _sign(descriptor)
        return True

    def _whose(self) -> str:
        owner = owner_of(self.path)
        return "its lock does not say which" if owner is None else str(owner)


def _opened(path: Path) -> int | None:
    """Return ``None``: try again, its folder has just been deleted or made."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags)  # others' files in some shared folders take no O_CREAT
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(path, flags | os.O_CREAT, 0o666)
    except FileNotFoundError:
        return None


def _sign(descriptor: int) -> None:
    """Write who holds the lock, for those who wait; without it they wait as well."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:253]
    said = {"pid": os.getpid(), "host": host or "unknown", "since": math.floor(time.time())}
    with suppress(OSError, AttributeError):  # a full disk; a system without pwrite
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(said).encode(), 0)


def _in_words(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return "a second" if seconds < 1.5 else f"{seconds:.0f} seconds"


def _let_go() -> None:
    """A forked process that outlives the owner would hold the lock for it."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
