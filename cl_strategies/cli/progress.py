"""How far runs are: a live line for a person, a line now and then for a file.

A line says where a run is (experience, epoch, loss), how much of everything is over, and how long
the rest will take at the speed so far.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cl_strategies.cli.console import note
from cl_strategies.results.formatting import show

if TYPE_CHECKING:
    from cl_strategies.experiment.engine.watching import Moment

#: Seconds until the first line in a file, and at most between two: each comes after twice as long.
FIRST_LINE, LONGEST_SILENCE = 30.0, 600.0
_LIVE = "{percentage:3.0f}%|{bar:20}| {elapsed} {desc}"


class RunProgress:
    """How far some runs are.

    :param total: runs.
    :param line: called with a text now and then, where nobody is watching.
    :param bar: of :mod:`tqdm`, of length 1, where somebody is.
    :param now: the time, in seconds.
    """

    def __init__(
        self,
        total: int,
        *,
        line: Any = note,
        bar: Any = None,
        now: Any = time.monotonic,
    ) -> None:
        self.total, self._line, self._bar, self._now = total, line, bar, now
        self._over, self._shares = 0, dict[str, float]()
        self._began, self._first = now(), 0.0  # when something was first computed
        self._silence, self._next = FIRST_LINE, now() + FIRST_LINE

    def at(self, run: str, moment: Moment) -> None:
        """Show where one of the runs is.

        :param run: its name, which tells it from the others.
        """
        where = (moment.experience + moment.share) / moment.experiences
        if not self._shares:  # what was read, or done before an interruption, took no time
            self._began, self._first = self._now(), (self._over + where) / self.total
        self._shares[run] = where
        self._show(f"{run}: {in_words(moment)}" if self.total > 1 else in_words(moment))

    def ended(self, run: str) -> None:
        """Count a run that has ended."""
        self._over += 1
        if run in self._shares:
            self._shares[run] = 0.0
        self._show(run)

    @property
    def share(self) -> float:
        """What is over of everything, 0 to 1."""
        return min(1.0, (self._over + sum(self._shares.values())) / self.total)

    def remaining(self) -> float:
        """Return the seconds that are left at the speed so far; NaN if there is none yet."""
        done = self.share - self._first
        elapsed = self._now() - self._began
        return elapsed * (1 - self.share) / done if done > 0 else math.nan

    def _show(self, text: str) -> None:
        left = self.remaining()
        rest = (
            "" if math.isnan(left) or self.share == 1 else f", about {show(left, 'seconds')} left"
        )
        if self._bar is not None:
            self._bar.set_description_str(f"{text}{rest}", refresh=False)
            self._bar.update(self.share - self._bar.n)
        elif self._now() >= self._next and self.share < 1:
            self._line(f"{text}; {self.share:.0%}{rest}")
            self._silence = min(2 * self._silence, LONGEST_SILENCE)
            self._next = self._now() + self._silence


@contextmanager
def run_progress(total: int) -> Iterator[RunProgress]:
    """Show how far ``total`` runs are, until they have ended."""
    if not sys.stderr.isatty():
        yield RunProgress(total)
        return
    from tqdm import tqdm

    with tqdm(total=1.0, bar_format=_LIVE, dynamic_ncols=True) as bar:
        yield RunProgress(total, bar=bar)


def in_words(moment: Moment) -> str:
    """Return where a run is: ``experience 2/5, epoch 3/10, loss 0.52``."""
    epoch = moment.epoch if moment.over else moment.epoch + 1
    of = f"/{moment.epochs}" if epoch <= moment.epochs else ""
    place = f"experience {moment.experience + 1}/{moment.experiences}, epoch {epoch}{of}"
    return place if math.isnan(moment.loss) else f"{place}, loss {moment.loss:.3g}"
