"""Fine-tuning, quantized after each experience without data."""

from cl_strategies.registry import Entry
from cl_strategies.strategies.catalog.entry import FIXED, entry

_NEEDS = ("Linear or Conv2d layers", "BatchNorm layers")

ENTRIES: tuple[Entry, ...] = (
    entry(
        "zeroq",
        "ZeroQ",
        "Quantized after each experience, ranges from distilled images.",
        paper="Cai et al., ZeroQ: a novel zero shot quantization framework, CVPR 2020",
        needs=_NEEDS,
        fixed=FIXED | {"example"},
    ),
    entry(
        "zaq",
        "ZAQ",
        "Quantized after each experience, trained against a generator of images.",
        paper="Liu et al., Zero-shot adversarial quantization, CVPR 2021",
        needs=("Conv2d layers", "BatchNorm layers"),
        fixed=FIXED | {"example"},
    ),
    entry(
        "qimera",
        "Qimera",
        "Quantized after each experience, trained on generated images between classes.",
        paper="Choi et al., Qimera: data-free quantization with synthetic boundary supporting "
        "samples, NeurIPS 2021",
        needs=_NEEDS,
        fixed=FIXED | {"example"},
    ),
    entry(
        "intraq",
        "IntraQ",
        "Quantized after each experience, trained on images that differ within a class.",
        paper="Zhong et al., IntraQ: learning synthetic images with intra-class heterogeneity for "
        "zero-shot network quantization, CVPR 2022",
        needs=_NEEDS,
        fixed=FIXED | {"example"},
    ),
)
