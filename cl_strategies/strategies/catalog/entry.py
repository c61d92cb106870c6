"""A row of the catalog."""

from typing import Any

from cl_strategies.registry import Entry

#: What the engine supplies to every strategy.
FIXED = frozenset(
    {
        "model",
        "optimizer",
        "criterion",
        "train_mb_size",
        "train_epochs",
        "eval_mb_size",
        "unseen_classes",
        "device",
        "plugins",
        "method",
        "evaluator",
        "eval_every",
        "peval_mode",
    }
)


def entry(name: str, factory: str, summary: str, **more: Any) -> Entry:
    """Return the row of ``cl_strategies.strategies:<factory>``."""
    settings = {"fixed": FIXED, **more}
    return Entry(
        name=name, factory=f"cl_strategies.strategies:{factory}", summary=summary, **settings
    )
