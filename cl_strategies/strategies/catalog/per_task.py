"""Parameters of its own for each task."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog.entry import entry

_PARTS_PER_TASK = ("task labels", "Linear or Conv2d layers", "a multi-head model")

ENTRIES: tuple[Entry, ...] = (
    entry(
        "halrp",
        "HALRP",
        "A frozen base network; scales and a low-rank residual per task.",
        paper="Li et al., Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "batch-norm",
        "PerTaskBatchNorm",
        "Frozen weights of the first task; normalizations and a head per task.",
        paper="Ioffe and Szegedy, Batch normalization, ICML 2015; BN-Tuned in Wen et al., "
        "BatchEnsemble, ICLR 2020",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "batch-ensemble",
        "BatchEnsemble",
        "Frozen weights of the first task, times a rank-one matrix per task.",
        paper="Wen et al., BatchEnsemble: an alternative approach to efficient ensemble and "
        "lifelong learning, ICLR 2020",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "ibp-wf",
        "IBPWF",
        "Weights of shared factors, selected per task under an Indian buffet process.",
        paper="Mehta et al., Continual learning using a Bayesian nonparametric dictionary of "
        "weight factors, AISTATS 2021",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "apd",
        "APD",
        "Shared weights that all tasks train; a mask and a sparse residual per task.",
        paper="Yoon et al., Scalable and order-robust continual learning with additive parameter "
        "decomposition, ICLR 2020",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "apd-fixed",
        "APDFixed",
        "Frozen weights of the first task, and a mask of their outputs per task.",
        paper="Yoon et al., ICLR 2020; APDfix in Li et al., Hessian Aware Low-Rank Perturbation "
        "for Order-Robust Continual Learning",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "wsn",
        "WSN",
        "A subnetwork per task, selected by scores; weights in use are frozen.",
        paper="Kang et al., Forget-free continual learning with winning subnetworks, ICML 2022",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "bmkp",
        "BMKP",
        "A basis of the outputs of each layer, which grows; coefficients per task.",
        paper="Sun et al., Decoupling learning and remembering: a bilevel memory framework with "
        "knowledge projection for task-incremental learning, CVPR 2023",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "clr",
        "CLR",
        "A frozen convolutional base; a small kernel per channel and task.",
        paper="Ge et al., CLR: Channel-wise lightweight reprogramming for continual learning, "
        "ICCV 2023",
        scenarios=("task",),
        needs=(
            "task labels",
            "a convolution larger than 1 x 1",
            "a multi-head model",
        ),
    ),
    entry(
        "iru",
        "IRU",
        "Low-rank weights that grow by some rank per task; a selector per task.",
        paper="Hyder et al., Incremental task learning with incremental rank updates, ECCV 2022",
        scenarios=("task",),
        needs=_PARTS_PER_TASK,
    ),
    entry(
        "prd",
        "PRD",
        "Contrasted views; prototypes whose relations to samples are distilled.",
        paper="Asadi et al., Prototype-sample relation distillation: towards replay-free continual "
        "learning, ICML 2023",
        scenarios=("task", "class", "domain"),
        needs=(
            "a copy of the model",
            "a linear classifier, or one per task, on features",
        ),
    ),
)
