"""What is registered here; plain text, so that listing imports nothing heavy."""

from cl_strategies.registry import Entry

_SPLIT = "cl_strategies.benchmarks.split:"
_PERMUTED = "cl_strategies.benchmarks.permuted:"
_ROTATED = "cl_strategies.benchmarks.rotated:"
_CLASSIC = "cl_strategies.benchmarks.classic:"
_SAME_CLASSES = ("task", "domain")

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="split-digits",
        factory=_SPLIT + "split_digits",
        summary="scikit-learn digits (8x8), 10 classes in 5 tasks; always there",
    ),
    Entry(
        name="permuted-digits",
        factory=_PERMUTED + "permuted_digits",
        summary="scikit-learn digits (8x8), the pixels permuted in each of 10 tasks",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="rotated-digits",
        factory=_ROTATED + "rotated_digits",
        summary="scikit-learn digits (8x8), turned by 18 degrees more in each of 10 tasks",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="split-fashion-mnist",
        factory=_SPLIT + "split_fashion_mnist",
        summary="Fashion-MNIST (28x28), 10 classes in 5 tasks",
        paper="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
    ),
    Entry(
        name="permuted-fashion-mnist",
        factory=_PERMUTED + "permuted_fashion_mnist",
        summary="Fashion-MNIST (28x28), the pixels permuted in each of 10 tasks",
        paper="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="split-mnist",
        factory=_CLASSIC + "split_mnist",
        summary="MNIST (28x28), 10 classes in 5 tasks",
        paper="Zenke, Poole and Ganguli, Continual Learning Through Synaptic Intelligence, 2017",
    ),
    Entry(
        name="permuted-mnist",
        factory=_CLASSIC + "permuted_mnist",
        summary="MNIST (28x28), the pixels permuted in each of 10 tasks",
        paper="Goodfellow et al., An Empirical Investigation of Catastrophic Forgetting, 2013",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="split-cifar10",
        factory=_CLASSIC + "split_cifar10",
        summary="CIFAR-10 (32x32 colour), 10 classes in 5 tasks",
        paper="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    Entry(
        name="split-cifar100",
        factory=_CLASSIC + "split_cifar100",
        summary="CIFAR-100 (32x32 colour), 100 classes in 10 tasks",
        paper="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    Entry(
        name="split-cifar10-100",
        factory=_CLASSIC + "split_cifar10_100",
        summary="CIFAR-10 as the first task, then CIFAR-100 in 10 tasks of 10 classes",
        paper="Zenke, Poole and Ganguli, Continual Learning Through Synaptic Intelligence, 2017",
    ),
    Entry(
        name="split-tiny-imagenet",
        factory=_CLASSIC + "split_tiny_imagenet",
        summary="Tiny ImageNet (64x64 colour), 200 classes in 10 tasks",
        paper="Le and Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
    ),
)
