"""The data, the network, and the training loop that someone would write without a framework."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as tv
from torchvision.transforms import functional as tvf

from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.errors import DataMissingError

BATCH, EVAL_BATCH, HIDDEN, RATE, SEED = 128, 256, 256, 0.05, 1
Result = list[Tensor]
"""What a contender computed: weights, or accuracies."""


@dataclass(frozen=True)
class Data:
    """Images as rows of floats, in two tasks: classes 0-4, then 5-9."""

    name: str
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor

    def tasks(self) -> list[Tensor]:
        """Rows of each training task, class after class, as in Avalanche's ``nc_benchmark``."""
        return [
            torch.cat([(self.y == label).nonzero().flatten() for label in labels])
            for labels in (range(5), range(5, 10))
        ]


def load(images: int) -> Data:
    """Fashion-MNIST, or scikit-learn's digits, enlarged and repeated, where that is missing.

    :param images: how many training images; a sixth as many for testing.
    """
    try:
        data, name = load_dataset("fashion-mnist"), "Fashion-MNIST"
    except DataMissingError:
        data, name = load_dataset("digits"), "digits, enlarged to 28x28 and repeated"
    parts = []
    for samples, wanted in ((data.train, images), (data.test, images // 6)):
        rows = torch.arange(wanted) % len(samples.labels)
        x = tvf.resize(samples.x, [28, 28]) if samples.x.shape[-1] != 28 else samples.x
        parts += [x.flatten(1)[rows].contiguous(), torch.from_numpy(samples.labels)[rows]]
    return Data(name, *parts)


def network() -> nn.Module:
    """784-256-10, always with the same weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))


def shuffled(n: int) -> Tensor:
    """A permutation from the global generator, drawn the way PyTorch's loader draws it."""
    torch.empty((), dtype=torch.int64).random_()
    generator = torch.Generator()
    generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_()))
    return torch.randperm(n, generator=generator)


def train(data: Data) -> tuple[float, Result]:
    """One epoch of each task in turn with SGD: seconds and final weights."""
    net, loss = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    tasks = [(data.x[rows], data.y[rows]) for rows in data.tasks()]
    torch.manual_seed(SEED)
    start = time.perf_counter()
    for x, y in tasks:
        order = shuffled(len(y))
        for begin in range(0, len(y), BATCH):
            rows = order[begin : begin + BATCH]
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return time.perf_counter() - start, [p.detach() for p in net.parameters()]


def train_si(data: Data, *, c: float = 1.0, xi: float = 0.1) -> tuple[float, Result]:
    """The same with Synaptic Intelligence, written down parameter by parameter."""
    net, loss = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    tasks = [(data.x[rows], data.y[rows]) for rows in data.tasks()]
    weights = list(net.parameters())
    centers = [p.detach().clone() for p in weights]
    importance = [torch.zeros_like(p) for p in weights]
    torch.manual_seed(SEED)
    start = time.perf_counter()
    for task, (x, y) in enumerate(tasks):
        path = [torch.zeros_like(p) for p in weights]
        begin_weights = [p.detach().clone() for p in weights]
        order = shuffled(len(y))
        for begin in range(0, len(y), BATCH):
            rows = order[begin : begin + BATCH]
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            gradients = [p.grad.clone() for p in weights]
            before = [p.detach().clone() for p in weights]
            if task:
                for p, omega, center in zip(weights, importance, centers, strict=True):
                    p.grad += 2 * c * omega * (p.detach() - center)
            optimizer.step()
            for w, g, p, old in zip(path, gradients, weights, before, strict=True):
                w -= g * (p.detach() - old)
        for omega, w, p, old in zip(importance, path, weights, begin_weights, strict=True):
            omega += (w / ((p.detach() - old) ** 2 + xi)).clamp(min=0)
        centers = [p.detach().clone() for p in weights]
    return time.perf_counter() - start, [p.detach() for p in weights]


def evaluate(data: Data) -> tuple[float, Result]:
    """Accuracy of the untrained network on the test images."""
    net = network().eval()
    correct = torch.zeros((), dtype=torch.int64)
    start = time.perf_counter()
    with torch.no_grad():
        for begin in range(0, len(data.test_y), EVAL_BATCH):
            x, y = data.test_x[begin : begin + EVAL_BATCH], data.test_y[begin : begin + EVAL_BATCH]
            correct += (net(x).argmax(1) == y).sum()
    accuracy = correct.item() / len(data.test_y)
    return time.perf_counter() - start, [torch.tensor(accuracy)]


class GrayPictures(Dataset[tuple[object, int]]):
    """Training images for Pillow."""

    def __init__(self, data: Data, n: int) -> None:
        pixels = (data.x[:n] * 255).round().to(torch.uint8).view(-1, 1, 28, 28)
        self.images = [tvf.to_pil_image(image) for image in pixels]
        self.targets = data.y[:n].tolist()

    def __getitem__(self, i: int) -> tuple[object, int]:
        return self.images[i], self.targets[i]

    def __len__(self) -> int:
        return len(self.targets)


AUGMENTATION = tv.Compose(
    [
        tv.RandomCrop(28, padding=4),
        tv.RandomHorizontalFlip(),
        tv.ToTensor(),
        tv.Normalize((0.286,), (0.353,)),
        nn.Flatten(0),
    ]
)


def train_augmented(data: Data) -> tuple[float, Result]:
    """Two epochs over augmented pictures with PyTorch's loader."""
    net, loss = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    pictures = GrayPictures(data, len(data.y) // 10)

    class Augmented(Dataset[tuple[Tensor, int]]):
        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            image, label = pictures[i]
            return AUGMENTATION(image), label

        def __len__(self) -> int:
            return len(pictures)

    loader = DataLoader(Augmented(), batch_size=BATCH, shuffle=True)
    start = time.perf_counter()
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss(net(x.flatten(1)), y).backward()
            optimizer.step()
    return time.perf_counter() - start, []
