"""What is registered here; plain text, so that listing imports nothing heavy."""

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


def _entry(
    name: str, factory: str, summary: str, paper: str = "", needs: tuple[str, ...] = ()
) -> Entry:
    return Entry(
        name=name,
        factory=f"cl_strategies.strategies.{factory}",
        summary=summary,
        paper=paper,
        needs=needs,
        fixed=FIXED,
    )


ENTRIES: tuple[Entry, ...] = (
    _entry("naive", "naive:Naive", "Train on each experience as it comes: the lower bound."),
    _entry(
        "joint",
        "joint:Joint",
        "Train once on the whole stream: the upper bound without a stream.",
        needs=("the whole stream at once",),
    ),
    _entry(
        "cumulative",
        "cumulative:Cumulative",
        "Train on all data seen so far, experience after experience.",
        needs=("all past data",),
    ),
    _entry(
        "single-task",
        "single_task:SingleTask",
        "A model of its own for each experience: no transfer, no forgetting.",
        needs=("the identity of the experience at evaluation", "one model per experience"),
    ),
    _entry(
        "ewc",
        "ewc:EWC",
        "Quadratic penalty weighted by the Fisher information.",
        "Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, PNAS 2017",
    ),
    _entry(
        "mas",
        "mas:MAS",
        "Quadratic penalty weighted by the sensitivity of the output.",
        "Aljundi et al., Memory aware synapses: learning what (not) to forget, ECCV 2018",
    ),
    _entry(
        "rwalk",
        "rwalk:RWalk",
        "Quadratic penalty weighted by Fisher information and path scores.",
        "Chaudhry et al., Riemannian walk for incremental learning, ECCV 2018",
        needs=("an extra backward pass per step",),
    ),
    _entry(
        "lwf",
        "lwf:LwF",
        "Distillation from the model as it was before the experience.",
        "Li and Hoiem, Learning without forgetting, ECCV 2016",
        needs=("a copy of the model",),
    ),
    _entry(
        "replay",
        "replay:Replay",
        "Joins samples from a memory to every mini-batch.",
        "Chaudhry et al., On tiny episodic memories in continual learning, 2019",
        needs=("a replay memory",),
    ),
    _entry(
        "agem",
        "agem:AGEM",
        "Projects gradients that would raise the loss on a memory.",
        "Chaudhry et al., Efficient lifelong learning with A-GEM, ICLR 2019",
        needs=("a replay memory",),
    ),
    _entry(
        "gdumb",
        "gdumb:GDumb",
        "Trains from scratch on a class-balanced memory at each experience.",
        "Prabhu et al., GDumb: a simple approach that questions our progress in continual "
        "learning, ECCV 2020",
        needs=("a replay memory",),
    ),
    _entry(
        "dark-er",
        "dark_er:DarkER",
        "Dark experience replay: samples with the logits they had (DER, DER++).",
        "Buzzega et al., Dark experience for general continual learning, NeurIPS 2020",
        needs=("a replay memory",),
    ),
    _entry("l2", "l2:L2", "Quadratic penalty that weighs every parameter alike."),
    _entry(
        "si",
        "si:SI",
        "Quadratic penalty weighted by each parameter's share in the loss decrease.",
        "Zenke et al., Continual learning through synaptic intelligence, ICML 2017",
    ),
    _entry(
        "alasso",
        "alasso:ALASSO",
        "Asymmetric quadratic surrogate of the past losses.",
        "Park et al., Continual learning by asymmetric loss approximation with single-side "
        "overestimation, ICCV 2019",
    ),
    _entry(
        "scp",
        "scp:SCP",
        "Quadratic penalty weighted by what random projections of the outputs depend on.",
        "Kolouri et al., Sliced Cramer synaptic consolidation for preserving deeply learned "
        "representations, ICLR 2020",
    ),
    _entry(
        "pfr",
        "pfr:PFR",
        "A small predictor must still find the features of the old network.",
        "Gomez-Villa et al., Continually learning self-supervised representations with projected "
        "functional regularization, CVPR Workshops 2022",
        needs=("a copy of the model",),
    ),
    Entry(
        name="halrp",
        factory="cl_strategies.strategies.halrp:HALRP",
        summary="A frozen base network; scales and a low-rank residual per task.",
        paper="Li et al., Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning",
        scenarios=("task",),
        needs=("task labels", "Linear or Conv2d layers", "a multi-head model"),
        fixed=FIXED,
    ),
    Entry(
        name="batch-norm",
        factory="cl_strategies.strategies.batch_norm:PerTaskBatchNorm",
        summary="Frozen weights of the first task; normalisations and a head per task.",
        paper="Ioffe and Szegedy, Batch normalization, ICML 2015; BN-Tuned in Wen et al., "
        "BatchEnsemble, ICLR 2020",
        scenarios=("task",),
        needs=("task labels", "Linear or Conv2d layers", "a multi-head model"),
        fixed=FIXED,
    ),
    Entry(
        name="batch-ensemble",
        factory="cl_strategies.strategies.batch_ensemble:BatchEnsemble",
        summary="Frozen weights of the first task, times a rank-one matrix per task.",
        paper="Wen et al., BatchEnsemble: an alternative approach to efficient ensemble and "
        "lifelong learning, ICLR 2020",
        scenarios=("task",),
        needs=("task labels", "Linear or Conv2d layers", "a multi-head model"),
        fixed=FIXED,
    ),
    Entry(
        name="gpm",
        factory="cl_strategies.strategies.gpm:GPM",
        summary="Steps orthogonal to the inputs that layers had in earlier tasks.",
        paper="Saha et al., Gradient projection memory for continual learning, ICLR 2021",
        scenarios=("task", "domain"),
        needs=("Linear or Conv2d layers",),
        fixed=FIXED,
    ),
    Entry(
        name="wsn",
        factory="cl_strategies.strategies.wsn:WSN",
        summary="A subnetwork per task, selected by scores; weights in use are frozen.",
        paper="Kang et al., Forget-free continual learning with winning subnetworks, ICML 2022",
        scenarios=("task",),
        needs=("task labels", "Linear or Conv2d layers", "a multi-head model"),
        fixed=FIXED,
    ),
    Entry(
        name="alignq",
        factory="cl_strategies.strategies.alignq:AlignQ",
        summary="Low-bit training with levels uniform in the normal distribution function.",
        paper="Chen et al., AlignQ: alignment quantization with ADMM-based correlation "
        "preservation, CVPR 2022",
        needs=("Linear or Conv2d layers",),
        fixed=FIXED | {"example"},
    ),
    Entry(
        name="lifequant",
        factory="cl_strategies.strategies.lifequant:LifeQuant",
        summary="Low-bit training in one standard space, replay under a balanced loss.",
        paper="Chen et al., Overcoming forgetting catastrophe in quantization-aware training, "
        "ICCV 2023",
        scenarios=("class", "domain"),
        needs=("a share of old data", "Linear or Conv2d layers"),
        fixed=FIXED | {"example"},
    ),
    Entry(
        name="compressed-replay",
        factory="cl_strategies.strategies.cim:CompressedReplay",
        summary="Replay from compressed images; the memory is counted in bytes.",
        needs=("images", "a replay memory"),
        fixed=FIXED,
    ),
    Entry(
        name="cim",
        factory="cl_strategies.strategies.cim:CIM",
        summary="Exemplars of two resolutions, with masks that are learned.",
        paper="Luo et al., Class-incremental exemplar compression for class-incremental learning, "
        "CVPR 2023",
        scenarios=("class", "domain"),
        needs=("images", "a replay memory", "a linear classifier on averaged feature maps"),
        fixed=FIXED,
    ),
    *(
        Entry(
            name=name,
            factory=f"cl_strategies.strategies.{factory}",
            summary=summary,
            paper=paper,
            scenarios=("class",),
            needs=("images", "a replay memory", "new classes in each experience", *more),
            fixed=FIXED,
        )
        for name, factory, summary, paper, more in (
            (
                "icarl",
                "icarl:ICaRL",
                "Herded exemplars, distillation, nearest class mean.",
                "Rebuffi et al., iCaRL: incremental classifier and representation learning, "
                "CVPR 2017",
                (),
            ),
            (
                "lucir",
                "lucir:LUCIR",
                "Cosine classifier, less-forget constraint, margins to new classes.",
                "Hou et al., Learning a unified classifier incrementally via rebalancing, "
                "CVPR 2019",
                (),
            ),
            (
                "wa",
                "wa:WA",
                "Distillation, then new rows of the classifier scaled to the old norm.",
                "Zhao et al., Maintaining discrimination and fairness in class incremental "
                "learning, CVPR 2020",
                (),
            ),
            (
                "bic",
                "bic:BiC",
                "Distillation, then a linear correction of the new classes' scores.",
                "Wu et al., Large scale incremental learning, CVPR 2019",
                (),
            ),
            (
                "podnet",
                "podnet:PODNet",
                "Distillation of pooled feature maps, classes of several proxies.",
                "Douillard et al., PODNet: pooled outputs distillation for small-tasks "
                "incremental learning, ECCV 2020",
                (),
            ),
            (
                "der-expandable",
                "der_expandable:ExpandableRepresentation",
                "A new backbone for each phase, the old ones frozen.",
                "Yan et al., DER: dynamically expandable representation for class incremental "
                "learning, CVPR 2021",
                ("a backbone per experience",),
            ),
            (
                "foster",
                "foster:FOSTER",
                "A new backbone boosts the old network, then both are compressed.",
                "Wang et al., FOSTER: feature boosting and compression for class-incremental "
                "learning, ECCV 2022",
                (),
            ),
            (
                "aanets",
                "aanets:AANets",
                "A stable and a plastic branch, mixed level by level, on LUCIR.",
                "Liu et al., Adaptive aggregation networks for class-incremental learning, "
                "CVPR 2021",
                ("a sequential backbone",),
            ),
            (
                "mnemonics",
                "mnemonics:Mnemonics",
                "LUCIR whose exemplars are trained as pixels.",
                "Liu et al., Mnemonics training: multi-class incremental learning without "
                "forgetting, CVPR 2020",
                (),
            ),
            (
                "mrdc",
                "mrdc:MRDC",
                "JPEG exemplars of a quality that keeps their features apart.",
                "Wang et al., Memory replay with data compression for continual learning, "
                "ICLR 2022",
                (),
            ),
        )
    ),
)
