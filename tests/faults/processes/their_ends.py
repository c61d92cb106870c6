"""What a third party installs: the strategy ``ends``, whose runs end as its option says."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
import time
import warnings
from typing import Any, NoReturn

from avalanche.core import SupervisedPlugin

from cl_strategies.errors import UserError
from cl_strategies.experiment.directory.run_directory import RunBusyError
from cl_strategies.strategies.naive import Naive


class Meta(type):
    @property
    def __name__(cls) -> NoReturn:
        sys.exit(0)


class Mute(Exception, metaclass=Meta):
    """Answers no question about itself, and cannot be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def refuse(self, *arguments: Any) -> NoReturn:
        sys.exit(0)

    __str__ = __repr__ = __reduce_ex__ = refuse
    __class__ = __notes__ = __cause__ = __context__ = __traceback__ = property(refuse)


class Text(str):
    """As ``str()`` may return it."""

    def refuse(self, *arguments: Any) -> NoReturn:
        raise KeyboardInterrupt

    __len__ = __getitem__ = __str__ = __format__ = isprintable = refuse


class Odd(Exception):
    def __str__(self) -> str:
        return Text("odd")


class MuteUser(UserError):
    __str__ = Mute.refuse


class Own(BaseException):
    pass


def raising(error: Any) -> Any:
    def end() -> NoReturn:
        raise error() if isinstance(error, type) else error

    return end


def warned() -> None:
    warnings.simplefilter("error")
    warnings.warn("now an error", stacklevel=1)


def moved() -> None:
    os.chdir("/")
    raise RuntimeError("elsewhere")


def deaf() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise RuntimeError("no Ctrl-C any more")


def deep() -> None:
    deep()


def forked() -> None:
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)


def ctrl_c_kept() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def ctrl_c_changed() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        raise RuntimeError("no matter") from error


def killed(number: int) -> Any:
    def end() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)

    return end


def orphaned() -> None:
    """The process ends, and one that it has started lives on, with all its open files."""
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    os._exit(0)


def lingering() -> None:
    threading.Thread(target=time.sleep, args=(300,)).start()


#: In whatever process.
ENDS = {
    "exit": lambda: sys.exit(0),
    "exit-text": lambda: sys.exit("why"),
    "interrupt": raising(KeyboardInterrupt),
    "generator": raising(GeneratorExit),
    "stop": raising(StopIteration),
    "own": raising(Own),
    "group": raising(BaseExceptionGroup("two", [SystemExit(0), KeyboardInterrupt()])),
    "mute": raising(Mute),
    "odd": raising(Odd),
    "mute-user": raising(MuteUser),
    "busy": raising(RunBusyError("not so")),
    "memory": raising(MemoryError),
    "deep": deep,
    "long": lambda: (_ for _ in ()).throw(ValueError("x" * 10**6)),
    "warned": warned,
    "moved": moved,
    "deaf": deaf,
}
#: Only in a process of its own.
DEATHS = {
    "os-exit": lambda: os._exit(0),
    "os-exit-3": lambda: os._exit(3),
    "segfault": killed(signal.SIGSEGV),
    "abort": killed(signal.SIGABRT),
    "kill": killed(signal.SIGKILL),
    "term": killed(signal.SIGTERM),
    "orphaned": orphaned,
}
#: Which are no end.
OTHERS = {
    "nothing": lambda: None,
    "forked": forked,
    "lingering": lingering,
    "ctrl-c": lambda: signal.raise_signal(signal.SIGINT),
    "ctrl-c-kept": ctrl_c_kept,
    "ctrl-c-changed": ctrl_c_changed,
}


class Ender(SupervisedPlugin):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        if strategy.clock.train_exp_counter == 1:
            {**ENDS, **DEATHS, **OTHERS}[self.how]()


class Ends(Naive):
    """End in the second experience, or when it is made.

    :param how: of what is above.
    :param made: likewise.
    """

    def __init__(self, *, how: str = "nothing", made: str = "nothing", **given: Any) -> None:
        super().__init__(**given)
        self.plugins.append(Ender(how))
        {**ENDS, **OTHERS}[made]()
