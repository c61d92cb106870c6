from .core.builder import build_benchmark as build_benchmark
from .core.contract import StreamInfo as StreamInfo
from .core.contract import contract_violations as contract_violations
from .datasets.published import DatasetStatus as DatasetStatus
from .datasets.registry import (
    check_dataset as check_dataset,
)
from .datasets.registry import (
    check_datasets as check_datasets,
)
from .datasets.registry import (
    download as download,
)
from .loading import load as load
from .own.in_python import domains as domains
from .own.in_python import permute_dataset as permute_dataset
from .own.in_python import split_dataset as split_dataset
from .own.registered import image_folder as image_folder
from .own.registered import image_table as image_table
from .own.wrapped import from_avalanche as from_avalanche
from .streams.adaptation import (
    adaptation_digits as adaptation_digits,
)
from .streams.adaptation import (
    adaptation_office_31 as adaptation_office_31,
)
from .streams.blurry import blurry_split_cifar10 as blurry_split_cifar10
from .streams.blurry import blurry_split_cifar100 as blurry_split_cifar100
from .streams.blurry import blurry_split_digits as blurry_split_digits
from .streams.blurry import blurry_split_fashion_mnist as blurry_split_fashion_mnist
from .streams.blurry import blurry_split_mnist as blurry_split_mnist
from .streams.classic import (
    permuted_mnist as permuted_mnist,
)
from .streams.classic import (
    split_cifar10 as split_cifar10,
)
from .streams.classic import (
    split_cifar10_100 as split_cifar10_100,
)
from .streams.classic import (
    split_cifar100 as split_cifar100,
)
from .streams.classic import (
    split_mnist as split_mnist,
)
from .streams.classic import (
    split_tiny_imagenet as split_tiny_imagenet,
)
from .streams.digit_domains import digit_domains as digit_domains
from .streams.domains import imageclef as imageclef
from .streams.domains import office_31 as office_31
from .streams.online import online_permuted_digits as online_permuted_digits
from .streams.online import online_permuted_fashion_mnist as online_permuted_fashion_mnist
from .streams.online import online_permuted_mnist as online_permuted_mnist
from .streams.online import online_split_cifar10 as online_split_cifar10
from .streams.online import online_split_cifar100 as online_split_cifar100
from .streams.online import online_split_digits as online_split_digits
from .streams.online import online_split_fashion_mnist as online_split_fashion_mnist
from .streams.online import online_split_mnist as online_split_mnist
from .streams.papers.cifar100_tasks import (
    cifar100_split as cifar100_split,
)
from .streams.papers.cifar100_tasks import (
    cifar100_superclass as cifar100_superclass,
)
from .streams.papers.five_datasets import (
    five_datasets as five_datasets,
)
from .streams.papers.five_datasets import (
    five_datasets_offline as five_datasets_offline,
)
from .streams.papers.omniglot import omniglot_rotation as omniglot_rotation
from .streams.papers.overlap import (
    overlapping_cifar100 as overlapping_cifar100,
)
from .streams.papers.overlap import (
    overlapping_digits as overlapping_digits,
)
from .streams.papers.overlap import (
    overlapping_fashion_mnist as overlapping_fashion_mnist,
)
from .streams.papers.p_mnist import p_mnist as p_mnist
from .streams.papers.task_streams import task_cifar10_100 as task_cifar10_100
from .streams.papers.task_streams import (
    task_digits as task_digits,
)
from .streams.papers.task_streams import (
    task_fashion_mnist as task_fashion_mnist,
)
from .streams.papers.task_streams import (
    task_tiny_imagenet as task_tiny_imagenet,
)
from .streams.papers.task_streams import task_tiny_imagenet_224 as task_tiny_imagenet_224
from .streams.permuted import (
    permuted_digits as permuted_digits,
)
from .streams.permuted import (
    permuted_fashion_mnist as permuted_fashion_mnist,
)
from .streams.photo_datasets import (
    food_101 as food_101,
)
from .streams.photo_datasets import (
    imagenet_100 as imagenet_100,
)
from .streams.photo_datasets import (
    imagenet_1000 as imagenet_1000,
)
from .streams.photo_digits import (
    photo_digits as photo_digits,
)
from .streams.photo_digits import (
    photo_fashion_mnist as photo_fashion_mnist,
)
from .streams.repetition import repetition_cifar10 as repetition_cifar10
from .streams.repetition import repetition_cifar100 as repetition_cifar100
from .streams.repetition import repetition_digits as repetition_digits
from .streams.repetition import repetition_fashion_mnist as repetition_fashion_mnist
from .streams.repetition import repetition_mnist as repetition_mnist
from .streams.rotated import rotated_digits as rotated_digits
from .streams.split import split_digits as split_digits
from .streams.split import split_fashion_mnist as split_fashion_mnist
from .streams.svhn import split_svhn as split_svhn
