"""What is registered here; plain text, so that listing imports nothing heavy."""

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


def _entry(name: str, factory: str, summary: str, **more: Any) -> Entry:
    settings = {"fixed": FIXED, **more}
    return Entry(
        name=name, factory=f"cl_strategies.strategies:{factory}", summary=summary, **settings
    )


ENTRIES: tuple[Entry, ...] = (
    _entry(
        "naive",
        "Naive",
        "Train on each experience as it comes: the lower bound.",
    ),
    _entry(
        "joint",
        "Joint",
        "Train once on the whole stream: the upper bound without a stream.",
        needs=("the whole stream at once",),
    ),
    _entry(
        "cumulative",
        "Cumulative",
        "Train on all data seen so far, experience after experience.",
        needs=("all past data",),
    ),
    _entry(
        "single-task",
        "SingleTask",
        "A model of its own for each experience: no transfer, no forgetting.",
        needs=(
            "the identity of the experience at evaluation",
            "one model per experience",
        ),
    ),
    _entry(
        "ewc",
        "EWC",
        "Quadratic penalty weighted by the Fisher information.",
        paper="Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, "
        "PNAS 2017",
    ),
    _entry(
        "mas",
        "MAS",
        "Quadratic penalty weighted by the sensitivity of the output.",
        paper="Aljundi et al., Memory aware synapses: learning what (not) to forget, ECCV 2018",
    ),
    _entry(
        "rwalk",
        "RWalk",
        "Quadratic penalty weighted by Fisher information and path scores.",
        paper="Chaudhry et al., Riemannian walk for incremental learning, ECCV 2018",
        needs=("an extra backward pass per step",),
    ),
    _entry(
        "lwf",
        "LwF",
        "Distillation from the model as it was before the experience.",
        paper="Li and Hoiem, Learning without forgetting, ECCV 2016",
        needs=("a copy of the model",),
    ),
    _entry(
        "replay",
        "Replay",
        "Joins samples from a memory to every mini-batch.",
        paper="Chaudhry et al., On tiny episodic memories in continual learning, 2019",
        needs=("a replay memory",),
    ),
    _entry(
        "agem",
        "AGEM",
        "Projects gradients that would raise the loss on a memory.",
        paper="Chaudhry et al., Efficient lifelong learning with A-GEM, ICLR 2019",
        needs=("a replay memory",),
    ),
    _entry(
        "gdumb",
        "GDumb",
        "Trains from scratch on a class-balanced memory at each experience.",
        paper="Prabhu et al., GDumb: a simple approach that questions our progress in continual "
        "learning, ECCV 2020",
        needs=("a replay memory",),
    ),
    _entry(
        "dark-er",
        "DarkER",
        "Dark experience replay: samples with the logits they had (DER, DER++).",
        paper="Buzzega et al., Dark experience for general continual learning, NeurIPS 2020",
        needs=("a replay memory",),
    ),
    _entry(
        "l2",
        "L2",
        "Quadratic penalty that weighs every parameter alike.",
    ),
    _entry(
        "si",
        "SI",
        "Quadratic penalty weighted by each parameter's share in the loss decrease.",
        paper="Zenke et al., Continual learning through synaptic intelligence, ICML 2017",
    ),
    _entry(
        "alasso",
        "ALASSO",
        "Asymmetric quadratic surrogate of the past losses.",
        paper="Park et al., Continual learning by asymmetric loss approximation with single-side "
        "overestimation, ICCV 2019",
    ),
    _entry(
        "scp",
        "SCP",
        "Quadratic penalty weighted by what random projections of the outputs depend on.",
        paper="Kolouri et al., Sliced Cramer synaptic consolidation for preserving deeply learned "
        "representations, ICLR 2020",
    ),
    _entry(
        "pfr",
        "PFR",
        "A small predictor must still find the features of the old network.",
        paper="Gomez-Villa et al., Continually learning self-supervised representations with "
        "projected functional regularization, CVPR Workshops 2022",
        needs=("a copy of the model",),
    ),
    _entry(
        "halrp",
        "HALRP",
        "A frozen base network; scales and a low-rank residual per task.",
        paper="Li et al., Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning",
        scenarios=("task",),
        needs=(
            "task labels",
            "Linear or Conv2d layers",
            "a multi-head model",
        ),
    ),
    _entry(
        "batch-norm",
        "PerTaskBatchNorm",
        "Frozen weights of the first task; normalizations and a head per task.",
        paper="Ioffe and Szegedy, Batch normalization, ICML 2015; BN-Tuned in Wen et al., "
        "BatchEnsemble, ICLR 2020",
        scenarios=("task",),
        needs=(
            "task labels",
            "Linear or Conv2d layers",
            "a multi-head model",
        ),
    ),
    _entry(
        "batch-ensemble",
        "BatchEnsemble",
        "Frozen weights of the first task, times a rank-one matrix per task.",
        paper="Wen et al., BatchEnsemble: an alternative approach to efficient ensemble and "
        "lifelong learning, ICLR 2020",
        scenarios=("task",),
        needs=(
            "task labels",
            "Linear or Conv2d layers",
            "a multi-head model",
        ),
    ),
    _entry(
        "gpm",
        "GPM",
        "Steps orthogonal to the inputs that layers had in earlier tasks.",
        paper="Saha et al., Gradient projection memory for continual learning, ICLR 2021",
        scenarios=("task", "domain"),
        needs=("Linear or Conv2d layers",),
    ),
    _entry(
        "wsn",
        "WSN",
        "A subnetwork per task, selected by scores; weights in use are frozen.",
        paper="Kang et al., Forget-free continual learning with winning subnetworks, ICML 2022",
        scenarios=("task",),
        needs=(
            "task labels",
            "Linear or Conv2d layers",
            "a multi-head model",
        ),
    ),
    _entry(
        "alignq",
        "AlignQ",
        "Low-bit training with levels uniform in the normal distribution function.",
        paper="Chen et al., AlignQ: alignment quantization with ADMM-based correlation "
        "preservation, CVPR 2022",
        needs=("Linear or Conv2d layers",),
        fixed=FIXED | {"example"},
    ),
    _entry(
        "lifequant",
        "LifeQuant",
        "Low-bit training in one standard space, replay under a balanced loss.",
        paper="Chen et al., Overcoming forgetting catastrophe in quantization-aware training, ICCV "
        "2023",
        scenarios=("class", "domain"),
        needs=(
            "a share of old data",
            "Linear or Conv2d layers",
        ),
        fixed=FIXED | {"example"},
    ),
    _entry(
        "compressed-replay",
        "CompressedReplay",
        "Replay from compressed images; the memory is counted in bytes.",
        needs=(
            "images",
            "a replay memory",
        ),
    ),
    _entry(
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
    _entry(
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
    _entry(
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
    _entry(
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
    _entry(
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
    _entry(
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
    _entry(
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
    _entry(
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
    _entry(
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
    _entry(
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
    _entry(
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
