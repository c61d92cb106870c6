"""The quantizers by name; plain text, so that listing imports nothing heavy."""

from cl_strategies.registry import Entry

_HERE = "cl_strategies.plugins.quantization.quantizers"


def _entry(name: str, factory: str, summary: str, paper: str = "") -> Entry:
    return Entry(
        name=name,
        factory=f"{_HERE}:{factory}",
        summary=summary,
        paper=paper,
        scenarios=(),
        needs=("Linear or Conv2d layers",),
    )


ENTRIES: tuple[Entry, ...] = (
    _entry(
        "uniform",
        "Uniform",
        "Min-max ranges, of each output channel and as a moving average of activations.",
    ),
    _entry(
        "dorefa",
        "DoReFa",
        "Weights through tanh, activations clipped to [0, 1]; nothing is learned.",
        "Zhou et al., DoReFa-Net: training low bitwidth convolutional neural networks with low "
        "bitwidth gradients, 2016, arXiv:1606.06160",
    ),
    _entry(
        "pact",
        "PACT",
        "DoReFa's weights, activations clipped at a learned value.",
        "Choi et al., PACT: parameterized clipping activation for quantized neural networks, 2018, "
        "arXiv:1805.06085",
    ),
    _entry(
        "lsq",
        "LSQ",
        "Uniform grids whose steps the loss learns.",
        "Esser et al., Learned step size quantization, ICLR 2020",
    ),
    _entry(
        "lsq-plus",
        "LSQPlus",
        "LSQ with a learned offset for activations of both signs, as after SiLU or GELU.",
        "Bhalgat et al., LSQ+: improving low-bit quantization through learnable offsets and better "
        "initialization, CVPR workshops 2020, arXiv:2004.09576",
    ),
    _entry(
        "llsq",
        "LLSQ",
        "Uniform grids whose steps follow a simulated gradient, in 16 bits.",
        "Zhao et al., Linear symmetric quantization of neural networks for low-precision integer "
        "hardware, ICLR 2020",
    ),
    _entry(
        "apot",
        "APoT",
        "Levels that are sums of powers of two, dense around zero.",
        "Li, Dong and Wang, Additive powers-of-two quantization, ICLR 2020",
    ),
    _entry(
        "alignq",
        "AlignQScheme",
        "Levels uniform in the normal distribution function.",
        "Chen et al., AlignQ: alignment quantization with ADMM-based correlation preservation, "
        "CVPR 2022",
    ),
    _entry(
        "lifequant",
        "ProxQ",
        "Weights in a standard space that is the same for every task.",
        "Chen et al., Overcoming forgetting catastrophe in quantization-aware training, ICCV 2023",
    ),
)
