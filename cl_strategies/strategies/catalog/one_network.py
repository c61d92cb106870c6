"""One network for all experiences, whose changes are held back."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog.entry import entry

ENTRIES: tuple[Entry, ...] = (
    entry(
        "ewc",
        "EWC",
        "Quadratic penalty weighted by the Fisher information.",
        paper="Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, "
        "PNAS 2017",
    ),
    entry(
        "mas",
        "MAS",
        "Quadratic penalty weighted by the sensitivity of the output.",
        paper="Aljundi et al., Memory aware synapses: learning what (not) to forget, ECCV 2018",
    ),
    entry(
        "rwalk",
        "RWalk",
        "Quadratic penalty weighted by Fisher information and path scores.",
        paper="Chaudhry et al., Riemannian walk for incremental learning, ECCV 2018",
        needs=("an extra backward pass per step",),
    ),
    entry(
        "l2",
        "L2",
        "Quadratic penalty that weighs every parameter alike.",
    ),
    entry(
        "si",
        "SI",
        "Quadratic penalty weighted by each parameter's share in the loss decrease.",
        paper="Zenke et al., Continual learning through synaptic intelligence, ICML 2017",
    ),
    entry(
        "alasso",
        "ALASSO",
        "Asymmetric quadratic surrogate of the past losses.",
        paper="Park et al., Continual learning by asymmetric loss approximation with single-side "
        "overestimation, ICCV 2019",
    ),
    entry(
        "scp",
        "SCP",
        "Quadratic penalty weighted by what random projections of the outputs depend on.",
        paper="Kolouri et al., Sliced Cramer synaptic consolidation for preserving deeply learned "
        "representations, ICLR 2020",
    ),
    entry(
        "lwf",
        "LwF",
        "Distillation from the model as it was before the experience.",
        paper="Li and Hoiem, Learning without forgetting, ECCV 2016",
        needs=("a copy of the model",),
    ),
    entry(
        "pfr",
        "PFR",
        "A small predictor must still find the features of the old network.",
        paper="Gomez-Villa et al., Continually learning self-supervised representations with "
        "projected functional regularization, CVPR Workshops 2022",
        needs=("a copy of the model",),
    ),
    entry(
        "gpm",
        "GPM",
        "Steps orthogonal to the inputs that layers had in earlier tasks.",
        paper="Saha et al., Gradient projection memory for continual learning, ICLR 2021",
        scenarios=("task", "domain"),
        needs=("Linear or Conv2d layers",),
    ),
    entry(
        "imm-mean",
        "IMMMean",
        "Train one network after the other, evaluate their mean.",
        paper="Lee et al., Overcoming catastrophic forgetting by incremental moment matching, "
        "NeurIPS 2017",
    ),
    entry(
        "imm-mode",
        "IMMMode",
        "Train one network after the other, evaluate their mean weighted by Fisher information.",
        paper="Lee et al., Overcoming catastrophic forgetting by incremental moment matching, "
        "NeurIPS 2017",
    ),
    entry(
        "sgd-dropout",
        "SGDDropout",
        "Train on each experience as it comes, with dropout on inputs and hidden layers.",
        paper="Goodfellow et al., An empirical investigation of catastrophic forgetting in "
        "gradient-based neural networks, ICLR 2014",
    ),
    entry(
        "vcl",
        "VCL",
        "Gaussian weights; the posterior of a task is the prior of the next.",
        paper="Nguyen et al., Variational continual learning, ICLR 2018",
        needs=("Linear or Conv2d layers",),
    ),
)
