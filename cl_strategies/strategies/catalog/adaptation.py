"""Adaptation to a domain whose images come without labels."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog.entry import FIXED, entry

_NEEDS = ("images of a target domain, without labels",)

ENTRIES: tuple[Entry, ...] = (
    entry(
        "dann",
        "DANN",
        "Features that do not tell a labeled domain from an unlabeled one.",
        paper="Ganin et al., Domain-adversarial training of neural networks, JMLR 2016",
        scenarios=("domain", "task"),
        needs=_NEEDS,
        fixed=FIXED | {"target"},
    ),
    entry(
        "dsan",
        "DSAN",
        "Features of each class alike in a labeled and an unlabeled domain.",
        paper="Zhu et al., Deep subdomain adaptation network for image classification, TNNLS 2021",
        scenarios=("domain", "task"),
        needs=_NEEDS,
        fixed=FIXED | {"target"},
    ),
)
