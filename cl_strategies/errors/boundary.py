"""The boundary around code that may be anybody's: a strategy, a plugin, a model, a stream.

Whatever ends such code comes out as a :class:`~cl_strategies.errors.failure.Failure`, be it
``sys.exit()``, a ``KeyboardInterrupt`` of its own, or an exception that cannot be printed. Three
things are no failure of the code and pass: errors of the package itself that tell the user what to
do, what is raised within :func:`ours`, and what a signal handler of the caller raises, Ctrl-C
above all.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

from cl_strategies.errors import DataMissingError, StorageError, UserError
from cl_strategies.errors.failure import describe, text_of, traceback_of

_Handler = Callable[[int, FrameType | None], Any]
_FOR_THE_USER = (DataMissingError, StorageError, UserError)
#: Signals by which a process is told to stop or to hurry. Others tell of what the code does itself,
#: such as SIGCHLD, from which a loader of data raises that one of its workers was killed.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGXCPU")
_passing = threading.local()


@contextmanager
def ours(kind: type[BaseException] = BaseException) -> Iterator[None]:
    """Let exceptions of this ``kind`` pass a boundary as they are: no foreign code runs within."""
    try:
        yield
    except kind as error:
        _passing.error = error
        raise


class Boundary:
    """``with Boundary(): ...``, around foreign code, in this thread.

    Handlers of signals, filters of warnings and the working directory are given back as they
    were. A process that the code forks, and that comes back here, ends here.

    :raises Failure: for whatever the code raises, see the module.
    :raises UserError: likewise its subclasses ``DataMissingError`` and ``StorageError``; other
        subclasses of it come out as the nearest of the three.
    """

    def __enter__(self) -> Boundary:
        self._process = os.getpid()
        self._folder = _folder()
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        #: What a handler of the caller's has raised, such as the KeyboardInterrupt of Ctrl-C.
        self._signalled: BaseException | None = None
        self._handlers = _handlers()
        self._noting = {
            number: self._note(handler)
            for number, handler in self._handlers.items()
            if callable(handler)
        }
        for number, noting in self._noting.items():
            signal.signal(number, noting)
        _passing.error = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        passing, _passing.error = getattr(_passing, "error", None), None
        if os.getpid() != self._process:
            _end(error)
        try:
            if error is not None and error is not passing:
                self._judge(error)
        finally:
            self._give_back()
        if error is None and self._signalled is not None:
            raise self._signalled  # the code has caught what was not meant for it

    def _judge(self, error: BaseException) -> None:
        """Raise what comes out of the boundary, unless it is ``error`` itself."""
        if error is self._signalled or (type(error) is KeyboardInterrupt and self._unseen()):
            return
        known = next((one for one in _FOR_THE_USER if issubclass(type(error), one)), None)
        outcome: Exception = describe(error) if known is None else known(text_of(error))
        if self._signalled is not None:  # the code has made another exception of it
            raise self._signalled from None
        if type(error) is not known or error.args != outcome.args:
            raise outcome from None

    def _note(self, handler: _Handler) -> _Handler:
        def noting(number: int, frame: FrameType | None) -> Any:
            try:
                return handler(number, frame)
            except BaseException as error:
                self._signalled = error
                raise

        return noting

    def _unseen(self) -> bool:
        """Return whether Ctrl-C would not be seen here, so that any KeyboardInterrupt may be it."""
        now = signal.getsignal(signal.SIGINT) if _is_main() else signal.SIG_IGN
        return now is None or (callable(now) and now is not self._noting.get(signal.SIGINT))

    def _give_back(self) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        self._warnings.__exit__(None, None, None)
        if self._folder is not None:
            with suppress(OSError):
                os.chdir(self._folder)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _handlers() -> dict[int, _Handler | int]:
    """Return what is to be done at each signal. Handlers in C, and other threads', are left
    alone."""
    if not _is_main():
        return {}
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    found = {number: signal.getsignal(number) for number in numbers}
    return {number: handler for number, handler in found.items() if handler is not None}


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it has been deleted
        return None


def _end(error: BaseException | None) -> NoReturn:
    """End a forked process as ``error`` says, without what its parent alone has to do."""
    code = 0 if error is None else 1
    if error is not None and issubclass(type(error), SystemExit):
        given = SystemExit.__dict__["code"].__get__(error)
        code = given if type(given) is int else int(given is not None)
    elif error is not None:
        print(traceback_of(error), file=sys.stderr, flush=True)
    os._exit(code & 0xFF)
