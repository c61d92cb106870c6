"""What is registered of streams that are learned online; plain text, as in the catalog."""

from cl_strategies.registry import Entry

_HERE = "cl_strategies.benchmarks:"
_SAME_CLASSES = ("task", "domain")
_BLURRY = (
    "Koh et al., Online Continual Learning on Class Incremental Blurry Task Configuration with "
    "Anytime Inference, ICLR 2022"
)
_REPETITION = "Hemati et al., Class-Incremental Learning with Repetition, CoLLAs 2023"

ONLINE: tuple[Entry, ...] = (
    Entry(
        name="online-split-digits",
        factory=_HERE + "online_split_digits",
        summary="scikit-learn digits (8x8), online: 5 tasks, in small parts",
    ),
    Entry(
        name="online-permuted-digits",
        factory=_HERE + "online_permuted_digits",
        summary="scikit-learn digits (8x8), online: 10 tasks of permuted pixels, in small parts",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="online-split-fashion-mnist",
        factory=_HERE + "online_split_fashion_mnist",
        summary="Fashion-MNIST (28x28), online: 5 tasks, in small parts",
        datasets=("fashion-mnist",),
    ),
    Entry(
        name="online-permuted-fashion-mnist",
        factory=_HERE + "online_permuted_fashion_mnist",
        summary="Fashion-MNIST (28x28), online: 10 tasks of permuted pixels, in small parts",
        scenarios=_SAME_CLASSES,
        datasets=("fashion-mnist",),
    ),
    Entry(
        name="online-split-mnist",
        factory=_HERE + "online_split_mnist",
        summary="MNIST (28x28), online: 5 tasks, in small parts",
        datasets=("mnist",),
    ),
    Entry(
        name="online-permuted-mnist",
        factory=_HERE + "online_permuted_mnist",
        summary="MNIST (28x28), online: 10 tasks of permuted pixels, in small parts",
        scenarios=_SAME_CLASSES,
        datasets=("mnist",),
    ),
    Entry(
        name="online-split-cifar10",
        factory=_HERE + "online_split_cifar10",
        summary="CIFAR-10 (32x32 color), online: 5 tasks, in small parts",
        datasets=("cifar10",),
    ),
    Entry(
        name="online-split-cifar100",
        factory=_HERE + "online_split_cifar100",
        summary="CIFAR-100 (32x32 color), online: 10 tasks, in small parts",
        datasets=("cifar100",),
    ),
    Entry(
        name="blurry-split-digits",
        factory=_HERE + "blurry_split_digits",
        summary="scikit-learn digits (8x8), online: 5 tasks that overlap in time",
        paper=_BLURRY,
        scenarios=("class",),
    ),
    Entry(
        name="blurry-split-fashion-mnist",
        factory=_HERE + "blurry_split_fashion_mnist",
        summary="Fashion-MNIST (28x28), online: 5 tasks that overlap in time",
        paper=_BLURRY,
        scenarios=("class",),
        datasets=("fashion-mnist",),
    ),
    Entry(
        name="blurry-split-mnist",
        factory=_HERE + "blurry_split_mnist",
        summary="MNIST (28x28), online: 5 tasks that overlap in time",
        paper=_BLURRY,
        scenarios=("class",),
        datasets=("mnist",),
    ),
    Entry(
        name="blurry-split-cifar10",
        factory=_HERE + "blurry_split_cifar10",
        summary="CIFAR-10 (32x32 color), online: 5 tasks that overlap in time",
        paper=_BLURRY,
        scenarios=("class",),
        datasets=("cifar10",),
    ),
    Entry(
        name="blurry-split-cifar100",
        factory=_HERE + "blurry_split_cifar100",
        summary="CIFAR-100 (32x32 color), online: 5 tasks that overlap in time",
        paper=_BLURRY,
        scenarios=("class",),
        datasets=("cifar100",),
    ),
    Entry(
        name="repetition-digits",
        factory=_HERE + "repetition_digits",
        summary="scikit-learn digits (8x8), online: classes come back in 10 experiences",
        paper=_REPETITION,
        scenarios=("class",),
    ),
    Entry(
        name="repetition-fashion-mnist",
        factory=_HERE + "repetition_fashion_mnist",
        summary="Fashion-MNIST (28x28), online: classes come back in 10 experiences",
        paper=_REPETITION,
        scenarios=("class",),
        datasets=("fashion-mnist",),
    ),
    Entry(
        name="repetition-mnist",
        factory=_HERE + "repetition_mnist",
        summary="MNIST (28x28), online: classes come back in 10 experiences",
        paper=_REPETITION,
        scenarios=("class",),
        datasets=("mnist",),
    ),
    Entry(
        name="repetition-cifar10",
        factory=_HERE + "repetition_cifar10",
        summary="CIFAR-10 (32x32 color), online: classes come back in 10 experiences",
        paper=_REPETITION,
        scenarios=("class",),
        datasets=("cifar10",),
    ),
    Entry(
        name="repetition-cifar100",
        factory=_HERE + "repetition_cifar100",
        summary="CIFAR-100 (32x32 color), online: classes come back in 10 experiences",
        paper=_REPETITION,
        scenarios=("class",),
        datasets=("cifar100",),
    ),
)
