"""Backbones and heads, imported when first used."""

from typing import TYPE_CHECKING

from cl_strategies._lazy import lazy_exports

if TYPE_CHECKING:
    from cl_strategies.models.alexnet import small_alexnet as small_alexnet
    from cl_strategies.models.cifar_mobilenet import mobilenet_v2_cifar as mobilenet_v2_cifar
    from cl_strategies.models.cifar_resnet import resnet20 as resnet20
    from cl_strategies.models.cifar_resnet import resnet56 as resnet56
    from cl_strategies.models.convnets import cnn as cnn
    from cl_strategies.models.convnets import lenet as lenet
    from cl_strategies.models.heads import GrowingClassifier as GrowingClassifier
    from cl_strategies.models.heads import MultiHead as MultiHead
    from cl_strategies.models.heads import MultiHeadModel as MultiHeadModel
    from cl_strategies.models.heads import SingleHeadModel as SingleHeadModel
    from cl_strategies.models.lenet import omniglot_lenet as omniglot_lenet
    from cl_strategies.models.lenet import wide_lenet as wide_lenet
    from cl_strategies.models.reduced_resnet import reduced_resnet18 as reduced_resnet18
    from cl_strategies.models.resnets import slim_resnet18 as slim_resnet18
    from cl_strategies.models.small_resnet import small_resnet as small_resnet
    from cl_strategies.models.torchvision_models import mobilenet_v2 as mobilenet_v2
    from cl_strategies.models.torchvision_models import resnet18 as resnet18
    from cl_strategies.models.torchvision_models import resnet50 as resnet50

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "GrowingClassifier": "cl_strategies.models.heads",
        "MultiHead": "cl_strategies.models.heads",
        "MultiHeadModel": "cl_strategies.models.heads",
        "SingleHeadModel": "cl_strategies.models.heads",
        "cnn": "cl_strategies.models.convnets",
        "lenet": "cl_strategies.models.convnets",
        "mobilenet_v2": "cl_strategies.models.torchvision_models",
        "mobilenet_v2_cifar": "cl_strategies.models.cifar_mobilenet",
        "omniglot_lenet": "cl_strategies.models.lenet",
        "reduced_resnet18": "cl_strategies.models.reduced_resnet",
        "resnet18": "cl_strategies.models.torchvision_models",
        "resnet20": "cl_strategies.models.cifar_resnet",
        "resnet50": "cl_strategies.models.torchvision_models",
        "resnet56": "cl_strategies.models.cifar_resnet",
        "slim_resnet18": "cl_strategies.models.resnets",
        "small_alexnet": "cl_strategies.models.alexnet",
        "small_resnet": "cl_strategies.models.small_resnet",
        "wide_lenet": "cl_strategies.models.lenet",
    },
)
