"""What is registered here; plain text, so that listing imports nothing heavy."""

from cl_strategies.registry import Entry

_FIXED = frozenset({"input_shape", "n_classes", "scenario"})

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="mlp",
        factory="cl_strategies.models.mlp:mlp",
        summary="Fully connected layers with ReLU on the flattened image.",
        fixed=_FIXED,
    ),
    Entry(
        name="cnn",
        factory="cl_strategies.models.convnets:cnn",
        summary="3x3 convolutions with max-pooling, then one hidden layer.",
        fixed=_FIXED,
    ),
    Entry(
        name="lenet",
        factory="cl_strategies.models.convnets:lenet",
        summary="LeNet-5 with ReLU and max-pooling.",
        paper="LeCun et al., Gradient-based learning applied to document recognition, "
        "Proceedings of the IEEE 1998",
        needs=("images of at least 16x16 pixels",),
        fixed=_FIXED,
    ),
    Entry(
        name="slim-resnet18",
        factory="cl_strategies.models.resnets:slim_resnet18",
        summary="ResNet-18 with 20 channels in its first stage, as used by GEM.",
        paper="Lopez-Paz and Ranzato, Gradient episodic memory for continual learning, "
        "NeurIPS 2017",
        needs=("images of shape 3x32x32",),
        fixed=_FIXED,
    ),
)
