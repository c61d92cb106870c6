"""Replay of samples of the past."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog.entry import entry

ENTRIES: tuple[Entry, ...] = (
    entry(
        "replay",
        "Replay",
        "Joins samples from a memory to every mini-batch.",
        paper="Chaudhry et al., On tiny episodic memories in continual learning, 2019",
        needs=("a replay memory",),
    ),
    entry(
        "agem",
        "AGEM",
        "Projects gradients that would raise the loss on a memory.",
        paper="Chaudhry et al., Efficient lifelong learning with A-GEM, ICLR 2019",
        needs=("a replay memory",),
    ),
    entry(
        "gdumb",
        "GDumb",
        "Trains from scratch on a class-balanced memory at each experience.",
        paper="Prabhu et al., GDumb: a simple approach that questions our progress in continual "
        "learning, ECCV 2020",
        needs=("a replay memory",),
    ),
    entry(
        "dark-er",
        "DarkER",
        "Dark experience replay: samples with the logits they had (DER, DER++).",
        paper="Buzzega et al., Dark experience for general continual learning, NeurIPS 2020",
        needs=("a replay memory",),
    ),
    entry(
        "compressed-replay",
        "CompressedReplay",
        "Replay from compressed images; the memory is counted in bytes.",
        needs=(
            "images",
            "a replay memory",
        ),
    ),
    entry(
        "cim",
        "CIM",
        "Exemplars of two resolutions, with masks that are learned.",
        paper="Luo et al., Class-incremental exemplar compression for class-incremental learning, "
        "CVPR 2023",
        scenarios=("class", "domain"),
        needs=(
            "images",
            "a replay memory",
            "a linear classifier on averaged feature maps",
        ),
    ),
)
