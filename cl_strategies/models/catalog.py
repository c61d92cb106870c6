"""What is registered here; plain text, so that listing imports nothing heavy."""

from cl_strategies.registry import Entry

#: What the engine supplies to every model.
FIXED = frozenset({"input_shape", "n_classes", "scenario"})
_HALRP = "Li et al., Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning, F.2"
_PARK = "Park et al., Continual learning by asymmetric loss approximation, ICCV 2019, supplement"
_HE = "He et al., Deep residual learning for image recognition, CVPR 2016"
_SANDLER = "Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="mlp",
        factory="cl_strategies.models:mlp",
        summary="Fully connected layers with ReLU on the flattened image.",
        fixed=FIXED,
    ),
    Entry(
        name="cnn",
        factory="cl_strategies.models:cnn",
        summary="3x3 convolutions with max-pooling, then one hidden layer.",
        fixed=FIXED,
    ),
    Entry(
        name="dropout-cnn",
        factory="cl_strategies.models:dropout_cnn",
        summary="3x3 convolutions with max-pooling and dropout, then one hidden layer.",
        paper=_PARK,
        fixed=FIXED,
    ),
    Entry(
        name="lenet",
        factory="cl_strategies.models:lenet",
        summary="LeNet-5 with ReLU and max-pooling.",
        paper="LeCun et al., Gradient-based learning applied to document recognition, "
        "Proceedings of the IEEE 1998",
        needs=("images of at least 16x16 pixels",),
        fixed=FIXED,
    ),
    Entry(
        name="slim-resnet18",
        factory="cl_strategies.models:slim_resnet18",
        summary="ResNet-18 with 20 channels in its first stage, as used by GEM.",
        paper="Lopez-Paz and Ranzato, Gradient episodic memory for continual learning, "
        "NeurIPS 2017",
        needs=("images of shape 3x32x32",),
        fixed=FIXED,
    ),
    Entry(
        name="wide-lenet",
        factory="cl_strategies.models:wide_lenet",
        summary="LeNet 20-50-800-500 with BatchNorm.",
        paper=_HALRP,
        needs=("images of at least 4x4 pixels",),
        fixed=FIXED,
    ),
    Entry(
        name="omniglot-lenet",
        factory="cl_strategies.models:omniglot_lenet",
        summary="LeNet 64-128-2500-1500 with BatchNorm.",
        paper=_HALRP,
        needs=("images of at least 4x4 pixels",),
        fixed=FIXED,
    ),
    Entry(
        name="small-alexnet",
        factory="cl_strategies.models:small_alexnet",
        summary="Three convolutions and two layers of 2048 units, BatchNorm and dropout.",
        paper=_HALRP,
        needs=("images of at least 19x19 pixels",),
        fixed=FIXED,
    ),
    Entry(
        name="reduced-resnet18",
        factory="cl_strategies.models:reduced_resnet18",
        summary="ResNet-18 with 32 channels in its first stage and biases.",
        paper=_HALRP,
        needs=("images of at least 9x9 pixels",),
        fixed=FIXED,
    ),
    Entry(
        name="small-resnet",
        factory="cl_strategies.models:small_resnet",
        summary="Residual stages and a mean over the image, of any size; has activation maps.",
        fixed=FIXED,
    ),
    Entry(
        name="resnet20",
        factory="cl_strategies.models:resnet20",
        summary="ResNet-20 for 32x32 images, 0.27 million parameters.",
        paper=_HE,
        fixed=FIXED,
    ),
    Entry(
        name="resnet56",
        factory="cl_strategies.models:resnet56",
        summary="ResNet-56 for 32x32 images, 0.85 million parameters.",
        paper=_HE,
        fixed=FIXED,
    ),
    Entry(
        name="resnet18",
        factory="cl_strategies.models:resnet18",
        summary="ResNet-18 for ImageNet's images, from torchvision.",
        paper=_HE,
        fixed=FIXED,
    ),
    Entry(
        name="resnet50",
        factory="cl_strategies.models:resnet50",
        summary="ResNet-50 for ImageNet's images, from torchvision.",
        paper=_HE,
        fixed=FIXED,
    ),
    Entry(
        name="mobilenet-v2",
        factory="cl_strategies.models:mobilenet_v2",
        summary="MobileNetV2 for ImageNet's images, from torchvision.",
        paper=_SANDLER,
        fixed=FIXED,
    ),
    Entry(
        name="mobilenet-v2-cifar",
        factory="cl_strategies.models:mobilenet_v2_cifar",
        summary="MobileNetV2 for 32x32 images, 2.3 million parameters.",
        paper=_SANDLER,
        fixed=FIXED,
    ),
)
