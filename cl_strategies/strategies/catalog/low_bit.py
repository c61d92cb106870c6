"""Low-bit training."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog.entry import FIXED, entry

ENTRIES: tuple[Entry, ...] = (
    entry(
        "alignq",
        "AlignQ",
        "Low-bit training with levels uniform in the normal distribution function.",
        paper="Chen et al., AlignQ: alignment quantization with ADMM-based correlation "
        "preservation, CVPR 2022",
        needs=("Linear or Conv2d layers",),
        fixed=FIXED | {"example"},
    ),
    entry(
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
)
