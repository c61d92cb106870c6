"""ResNet-18 on 32x32 color pictures that are cropped and flipped at random."""

from __future__ import annotations

import time
import warnings
from typing import Any

import loops
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive
from loops import Data, Result
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from torchvision import transforms as tv
from torchvision.models import resnet18
from torchvision.transforms import functional as tvf

from cl_strategies.plugins import LeanEvaluationPlugin, ResidentDataPlugin
from cl_strategies.plugins.data.augment import normalize, random_crop, random_flip

SIZE, BATCH, IMAGES = 32, 128, 2048
MEAN, STD = (0.286,) * 3, (0.353,) * 3
AUGMENTATION = tv.Compose(
    [
        tv.RandomCrop(SIZE, padding=4),
        tv.RandomHorizontalFlip(),
        tv.ToTensor(),
        tv.Normalize(MEAN, STD),
    ]
)


class ColorPictures(Dataset[tuple[object, int]]):
    """Training images, enlarged and in color, for Pillow."""

    def __init__(self, data: Data, images: int = IMAGES) -> None:
        # Class after class, as Avalanche's nc_benchmark sorts them.
        rows = data.y[:images].argsort(stable=True)
        grey = (data.x[rows] * 255).round().to(torch.uint8).view(-1, 1, 28, 28)
        self.pixels = tvf.resize(grey, [SIZE, SIZE]).expand(-1, 3, -1, -1).contiguous()
        self.images = [tvf.to_pil_image(image) for image in self.pixels]
        self.targets = data.y[rows].tolist()

    def __getitem__(self, i: int) -> tuple[object, int]:
        return self.images[i], self.targets[i]

    def __len__(self) -> int:
        return len(self.targets)


def network() -> nn.Module:
    """torchvision's ResNet-18 for 10 classes, always with the same weights."""
    torch.manual_seed(0)
    return resnet18(num_classes=10)


def raw(data: Data) -> tuple[float, Result]:
    """One epoch of a loop over uint8 tensors, augmented a batch at a time."""
    pictures, net = ColorPictures(data), network()
    optimizer = torch.optim.SGD(net.parameters(), lr=loops.RATE)
    x, y = pictures.pixels, torch.tensor(pictures.targets)
    torch.manual_seed(loops.SEED)
    start = time.perf_counter()
    order = loops.shuffled(len(y))
    for begin in range(0, len(y), BATCH):
        rows = order[begin : begin + BATCH]
        batch = random_flip(random_crop(F.pad(x[rows], [4] * 4), (SIZE, SIZE)), p=0.5, dim=-1)
        optimizer.zero_grad()
        F.cross_entropy(net(normalize(batch.float() / 255, MEAN, STD)), y[rows]).backward()
        optimizer.step()
    return time.perf_counter() - start, [p.detach() for p in net.parameters()]


def stock(data: Data) -> tuple[float, Result]:
    """Avalanche with its own loader, which transforms picture after picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _train(ColorPictures(data), [], EvaluationPlugin(loggers=None))


def ours(data: Data) -> tuple[float, Result]:
    """The same script with this package's plugins."""
    return train(data, [])


def train(data: Data, plugins: list[Any], images: int = IMAGES) -> tuple[float, Result]:
    """:func:`ours` with further plugins, on so many pictures."""
    everything = [*plugins, ResidentDataPlugin()]
    return _train(ColorPictures(data, images), everything, LeanEvaluationPlugin(loggers=None))


def _train(pictures: ColorPictures, plugins: list[Any], evaluator: Any) -> tuple[float, Result]:
    net = network()
    stream = nc_benchmark(
        pictures,
        pictures,
        n_experiences=1,
        task_labels=False,
        shuffle=False,
        class_ids_from_zero_from_first_exp=False,
        train_transform=AUGMENTATION,
        eval_transform=AUGMENTATION,
    )
    strategy = Naive(
        model=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=loops.RATE),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=1,
        plugins=plugins,
        evaluator=evaluator,
    )
    experience = stream.train_stream[0]
    torch.manual_seed(loops.SEED)
    start = time.perf_counter()
    strategy.train(experience)
    return time.perf_counter() - start, [p.detach() for p in net.parameters()]
