from .backbones.alexnet import small_alexnet as small_alexnet
from .backbones.cifar_mobilenet import mobilenet_v2_cifar as mobilenet_v2_cifar
from .backbones.cifar_resnet import resnet20 as resnet20
from .backbones.cifar_resnet import resnet56 as resnet56
from .backbones.convnets import cnn as cnn
from .backbones.convnets import lenet as lenet
from .backbones.dropout_cnn import dropout_cnn as dropout_cnn
from .backbones.lenet import omniglot_lenet as omniglot_lenet
from .backbones.lenet import wide_lenet as wide_lenet
from .backbones.mlp import mlp as mlp
from .backbones.reduced_resnet import reduced_resnet18 as reduced_resnet18
from .backbones.resnets import slim_resnet18 as slim_resnet18
from .backbones.small_resnet import small_resnet as small_resnet
from .backbones.torchvision_models import (
    mobilenet_v2 as mobilenet_v2,
)
from .backbones.torchvision_models import (
    resnet18 as resnet18,
)
from .backbones.torchvision_models import (
    resnet50 as resnet50,
)
from .heads import (
    GrowingClassifier as GrowingClassifier,
)
from .heads import (
    MultiHead as MultiHead,
)
from .heads import (
    MultiHeadModel as MultiHeadModel,
)
from .heads import (
    SingleHeadModel as SingleHeadModel,
)
