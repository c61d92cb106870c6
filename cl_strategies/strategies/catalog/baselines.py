"""Bounds, and training as it comes."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog.entry import entry

ENTRIES: tuple[Entry, ...] = (
    entry(
        "naive",
        "Naive",
        "Train on each experience as it comes: the lower bound.",
    ),
    entry(
        "joint",
        "Joint",
        "Train once on the whole stream: the upper bound without a stream.",
        needs=("the whole stream at once",),
    ),
    entry(
        "cumulative",
        "Cumulative",
        "Train on all data seen so far, experience after experience.",
        needs=("all past data",),
    ),
    entry(
        "single-task",
        "SingleTask",
        "A model of its own for each experience: no transfer, no forgetting.",
        needs=(
            "the identity of the experience at evaluation",
            "one model per experience",
        ),
    ),
)
