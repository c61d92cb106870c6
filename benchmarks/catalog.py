"""What is registered here; plain text, so that listing imports nothing heavy."""

from cl_strategies.registry import Entry

_HERE = "cl_strategies.benchmarks:"
_SAME_CLASSES = ("task", "domain")
_LIFEQUANT = (
    "Chen et al., Overcoming forgetting catastrophe in quantization-aware training, ICCV 2023"
)
_PARK = "Park et al., Continual learning by asymmetric loss approximation, ICCV 2019"
_BLURRY = (
    "Koh et al., Online Continual Learning on Class Incremental Blurry Task Configuration with "
    "Anytime Inference, ICLR 2022"
)
_REPETITION = "Hemati et al., Class-Incremental Learning with Repetition, CoLLAs 2023"
_ADDITIVE = "Yoon et al., Scalable and Order-robust Continual Learning (APD), ICLR 2020"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="split-digits",
        factory=_HERE + "split_digits",
        summary="scikit-learn digits (8x8), 10 classes in 5 tasks; always there",
    ),
    Entry(
        name="permuted-digits",
        factory=_HERE + "permuted_digits",
        summary="scikit-learn digits (8x8), the pixels permuted in each of 10 tasks",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="rotated-digits",
        factory=_HERE + "rotated_digits",
        summary="scikit-learn digits (8x8), turned by 18 degrees more in each of 10 tasks",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="split-fashion-mnist",
        factory=_HERE + "split_fashion_mnist",
        summary="Fashion-MNIST (28x28), 10 classes in 5 tasks",
        paper="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
    ),
    Entry(
        name="permuted-fashion-mnist",
        factory=_HERE + "permuted_fashion_mnist",
        summary="Fashion-MNIST (28x28), the pixels permuted in each of 10 tasks",
        paper="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="split-mnist",
        factory=_HERE + "split_mnist",
        summary="MNIST (28x28), 10 classes in 5 tasks",
        paper="Zenke, Poole and Ganguli, Continual Learning Through Synaptic Intelligence, 2017",
    ),
    Entry(
        name="permuted-mnist",
        factory=_HERE + "permuted_mnist",
        summary="MNIST (28x28), the pixels permuted in each of 10 tasks",
        paper="Goodfellow et al., An Empirical Investigation of Catastrophic Forgetting, 2013",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="split-cifar10",
        factory=_HERE + "split_cifar10",
        summary="CIFAR-10 (32x32 color), 10 classes in 5 tasks",
        paper="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    Entry(
        name="split-cifar100",
        factory=_HERE + "split_cifar100",
        summary="CIFAR-100 (32x32 color), 100 classes in 10 tasks",
        paper="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    Entry(
        name="split-cifar10-100",
        factory=_HERE + "split_cifar10_100",
        summary="CIFAR-10 as the first task, then CIFAR-100 in 10 tasks of 10 classes",
        paper="Zenke, Poole and Ganguli, Continual Learning Through Synaptic Intelligence, 2017",
    ),
    Entry(
        name="split-tiny-imagenet",
        factory=_HERE + "split_tiny_imagenet",
        summary="Tiny ImageNet (64x64 color), 200 classes in 10 tasks",
        paper="Le and Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
    ),
    Entry(
        name="task-digits",
        factory=_HERE + "task_digits",
        summary="scikit-learn digits (8x8), 5 tasks of 2 classes with heads of their own",
    ),
    Entry(
        name="task-fashion-mnist",
        factory=_HERE + "task_fashion_mnist",
        summary="Fashion-MNIST (28x28), 5 tasks of 2 classes with heads of their own",
        paper="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
    ),
    Entry(
        name="five-datasets-offline",
        factory=_HERE + "five_datasets_offline",
        summary="Digits, MNIST-5k, two halves of Fashion-MNIST, photographs (32x32 color)",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="five-datasets",
        factory=_HERE + "five_datasets",
        summary="CIFAR-10, MNIST, SVHN, Fashion-MNIST and notMNIST (32x32 color)",
        paper="Ebrahimi et al., Adversarial Continual Learning, ECCV 2020",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="cifar100-split",
        factory=_HERE + "cifar100_split",
        summary="CIFAR-100 (32x32 color), 10 tasks of 10 classes, task orders A to E",
        paper=_ADDITIVE,
    ),
    Entry(
        name="cifar100-superclass",
        factory=_HERE + "cifar100_superclass",
        summary="CIFAR-100 (32x32 color), 20 tasks of one superclass, task orders A to E",
        paper=_ADDITIVE,
    ),
    Entry(
        name="p-mnist",
        factory=_HERE + "p_mnist",
        summary="MNIST (32x32, three channels), all values permuted in each of 10 tasks",
        paper="Li et al., Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="omniglot-rotation",
        factory=_HERE + "omniglot_rotation",
        summary="Omniglot (32x32), 100 tasks of 12 characters, every drawing in 4 turns",
        paper=_ADDITIVE,
    ),
    Entry(
        name="task-tiny-imagenet",
        factory=_HERE + "task_tiny_imagenet",
        summary="Tiny ImageNet (64x64 color), 20 or 40 tasks with heads of their own",
        paper="Le and Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
    ),
    Entry(
        name="task-cifar10-100",
        factory=_HERE + "task_cifar10_100",
        summary="CIFAR-10, then CIFAR-100 (32x32 color), 30 tasks of 3 classes",
        paper=_PARK,
    ),
    Entry(
        name="task-tiny-imagenet-224",
        factory=_HERE + "task_tiny_imagenet_224",
        summary="Tiny ImageNet (enlarged to 224x224 color), 30 tasks of 6 classes",
        paper=_PARK,
    ),
    Entry(
        name="photo-digits",
        factory=_HERE + "photo_digits",
        summary="scikit-learn digits on its photographs (64x64 color), 5 tasks; always there",
    ),
    Entry(
        name="photo-fashion-mnist",
        factory=_HERE + "photo_fashion_mnist",
        summary="Fashion-MNIST on photographs (64x64 color), 10 classes in 5 tasks",
        paper="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
    ),
    Entry(
        name="food-101",
        factory=_HERE + "food_101",
        summary="Food-101 (photographs), 101 classes in 10 tasks",
        paper="Bossard, Guillaumin and Van Gool, Food-101, ECCV 2014",
    ),
    Entry(
        name="imagenet-100",
        factory=_HERE + "imagenet_100",
        summary="LUCIR's 100 classes of ImageNet (photographs), in 10 tasks",
        paper="Hou et al., Learning a unified classifier incrementally via rebalancing, CVPR 2019",
    ),
    Entry(
        name="imagenet-1000",
        factory=_HERE + "imagenet_1000",
        summary="ImageNet (photographs), 1,000 classes in 10 tasks",
        paper="Russakovsky et al., ImageNet large scale visual recognition challenge, IJCV 2015",
    ),
    Entry(
        name="overlapping-digits",
        factory=_HERE + "overlapping_digits",
        summary="scikit-learn digits (8x8), 3 tasks that share half of their classes",
        paper=_LIFEQUANT,
        scenarios=("class", "task"),
    ),
    Entry(
        name="overlapping-fashion-mnist",
        factory=_HERE + "overlapping_fashion_mnist",
        summary="Fashion-MNIST (28x28), 3 tasks that share half of their classes",
        paper=_LIFEQUANT,
        scenarios=("class", "task"),
    ),
    Entry(
        name="overlapping-cifar100",
        factory=_HERE + "overlapping_cifar100",
        summary="CIFAR-100 (32x32 color), 3 tasks of 66 to 68 classes that overlap",
        paper=_LIFEQUANT,
        scenarios=("class", "task"),
    ),
    Entry(
        name="digit-domains",
        factory=_HERE + "digit_domains",
        summary="Digits plain, inverted, on photographs, blurred, noisy (16x16 color); always "
        "there",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="office-31",
        factory=_HERE + "office_31",
        summary="Office-31 (photographs), 31 classes in 3 domains",
        paper="Saenko et al., Adapting visual category models to new domains, ECCV 2010",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="imageclef",
        factory=_HERE + "imageclef",
        summary="ImageCLEF-DA (photographs), 12 classes in up to 4 domains",
        paper="Caputo et al., ImageCLEF 2014: overview and analysis of the results, CLEF 2014",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="adaptation-digits",
        factory=_HERE + "adaptation_digits",
        summary="Digits plain with labels, noisy without (8x8 color); always there",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="adaptation-office-31",
        factory=_HERE + "adaptation_office_31",
        summary="Office-31 (photographs), one domain with labels, another one without",
        paper="Saenko et al., Adapting visual category models to new domains, ECCV 2010",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="split-svhn",
        factory=_HERE + "split_svhn",
        summary="SVHN (32x32 color), 10 classes in 5 tasks",
        paper="Netzer et al., Reading digits in natural images with unsupervised feature "
        "learning, 2011",
    ),
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
    ),
    Entry(
        name="online-permuted-fashion-mnist",
        factory=_HERE + "online_permuted_fashion_mnist",
        summary="Fashion-MNIST (28x28), online: 10 tasks of permuted pixels, in small parts",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="online-split-mnist",
        factory=_HERE + "online_split_mnist",
        summary="MNIST (28x28), online: 5 tasks, in small parts",
    ),
    Entry(
        name="online-permuted-mnist",
        factory=_HERE + "online_permuted_mnist",
        summary="MNIST (28x28), online: 10 tasks of permuted pixels, in small parts",
        scenarios=_SAME_CLASSES,
    ),
    Entry(
        name="online-split-cifar10",
        factory=_HERE + "online_split_cifar10",
        summary="CIFAR-10 (32x32 color), online: 5 tasks, in small parts",
    ),
    Entry(
        name="online-split-cifar100",
        factory=_HERE + "online_split_cifar100",
        summary="CIFAR-100 (32x32 color), online: 10 tasks, in small parts",
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
    ),
    Entry(
        name="blurry-split-mnist",
        factory=_HERE + "blurry_split_mnist",
        summary="MNIST (28x28), online: 5 tasks that overlap in time",
        paper=_BLURRY,
        scenarios=("class",),
    ),
    Entry(
        name="blurry-split-cifar10",
        factory=_HERE + "blurry_split_cifar10",
        summary="CIFAR-10 (32x32 color), online: 5 tasks that overlap in time",
        paper=_BLURRY,
        scenarios=("class",),
    ),
    Entry(
        name="blurry-split-cifar100",
        factory=_HERE + "blurry_split_cifar100",
        summary="CIFAR-100 (32x32 color), online: 5 tasks that overlap in time",
        paper=_BLURRY,
        scenarios=("class",),
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
    ),
    Entry(
        name="repetition-mnist",
        factory=_HERE + "repetition_mnist",
        summary="MNIST (28x28), online: classes come back in 10 experiences",
        paper=_REPETITION,
        scenarios=("class",),
    ),
    Entry(
        name="repetition-cifar10",
        factory=_HERE + "repetition_cifar10",
        summary="CIFAR-10 (32x32 color), online: classes come back in 10 experiences",
        paper=_REPETITION,
        scenarios=("class",),
    ),
    Entry(
        name="repetition-cifar100",
        factory=_HERE + "repetition_cifar100",
        summary="CIFAR-100 (32x32 color), online: classes come back in 10 experiences",
        paper=_REPETITION,
        scenarios=("class",),
    ),
    Entry(
        name="image-folder",
        factory=_HERE + "image_folder",
        summary="Your own images in a folder per class, or per domain and class",
        needs=("path",),
    ),
    Entry(
        name="image-table",
        factory=_HERE + "image_table",
        summary="Your own images, listed with their labels in a CSV or Parquet file",
        needs=("path",),
    ),
)
