"""Classifiers that grow class by class."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog.entry import entry

ENTRIES: tuple[Entry, ...] = (
    entry(
        "icarl",
        "ICaRL",
        "Herded exemplars, distillation, nearest class mean.",
        paper="Rebuffi et al., iCaRL: incremental classifier and representation learning, "
        "CVPR 2017",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
        ),
    ),
    entry(
        "lucir",
        "LUCIR",
        "Cosine classifier, less-forget constraint, margins to new classes.",
        paper="Hou et al., Learning a unified classifier incrementally via rebalancing, CVPR 2019",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
        ),
    ),
    entry(
        "wa",
        "WA",
        "Distillation, then new rows of the classifier scaled to the old norm.",
        paper="Zhao et al., Maintaining discrimination and fairness in class incremental learning, "
        "CVPR 2020",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
        ),
    ),
    entry(
        "bic",
        "BiC",
        "Distillation, then a linear correction of the new classes' logits.",
        paper="Wu et al., Large scale incremental learning, CVPR 2019",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
        ),
    ),
    entry(
        "podnet",
        "PODNet",
        "Distillation of pooled feature maps, classes of several proxies.",
        paper="Douillard et al., PODNet: pooled outputs distillation for small-tasks incremental "
        "learning, ECCV 2020",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
        ),
    ),
    entry(
        "der-expandable",
        "ExpandableRepresentation",
        "A new backbone for each experience, the old ones frozen.",
        paper="Yan et al., DER: dynamically expandable representation for class incremental "
        "learning, CVPR 2021",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
            "a backbone per experience",
        ),
    ),
    entry(
        "foster",
        "FOSTER",
        "A new backbone boosts the old network, then both are compressed.",
        paper="Wang et al., FOSTER: feature boosting and compression for class-incremental "
        "learning, ECCV 2022",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
        ),
    ),
    entry(
        "aanets",
        "AANets",
        "A stable and a plastic branch, mixed level by level, on LUCIR.",
        paper="Liu et al., Adaptive aggregation networks for class-incremental learning, CVPR 2021",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
            "a sequential backbone",
        ),
    ),
    entry(
        "mnemonics",
        "Mnemonics",
        "LUCIR whose exemplars are trained as pixels.",
        paper="Liu et al., Mnemonics training: multi-class incremental learning without forgetting,"
        " CVPR 2020",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
        ),
    ),
    entry(
        "mrdc",
        "MRDC",
        "JPEG exemplars of a quality that keeps their features apart.",
        paper="Wang et al., Memory replay with data compression for continual learning, ICLR 2022",
        scenarios=("class",),
        needs=(
            "images",
            "a replay memory",
            "new classes in each experience",
        ),
    ),
)
