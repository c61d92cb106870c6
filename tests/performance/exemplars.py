"""Two-resolution exemplars: encoding, decoding while a ResNet-18 trains, and learning the masks."""

from __future__ import annotations

import time
from typing import Any

import loops
import numpy as np
import torch
from loops import Data
from measurement import Measurement
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.models import resnet18
from torchvision.transforms import functional as tvf

from cl_strategies.benchmarks.streams.photo_digits import photo_fashion_mnist
from cl_strategies.models.backbones.small_resnet import small_resnet
from cl_strategies.plugins import ResidentDataPlugin
from cl_strategies.plugins.exemplars.codecs.two_resolution import TwoResolution
from cl_strategies.strategies import CIM

SIZE, BOX, IMAGES, BATCH = 224, (56, 168, 56, 168), 64, 16
ENCODE_LEAST, DECODE_MOST, MASKS_MOST = 500.0, 1.25, 1.6


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """Images per second on one core, and two ratios of training times."""
    threads = torch.get_num_threads()
    images = photographs()
    torch.set_num_threads(1)
    encoding = [_encoded(images)[1] for _ in range(rounds)]
    torch.set_num_threads(threads)
    payloads, _ = _encoded(images)
    decoding = []
    for _ in range(max(3, rounds // 2)):
        plain = _epoch(_Decoded(payloads))
        decoding.append(_epoch(_Stored(payloads)) / plain)
    masks = [_cim("bilevel") / _cim("cam") for _ in range(max(3, rounds // 2))]
    return [
        Measurement(
            name="encode",
            title="Two-resolution raw encoding at 224x224, one core",
            values=encoding,
            unit="images/s",
            proof="inside the box bit for bit",
            least=ENCODE_LEAST,
        ),
        Measurement(
            name="decode",
            title="Epoch of ResNet-18 at 224x224, half of each batch decoded / all in memory",
            values=decoding,
            proof="same images",
            most=DECODE_MOST,
        ),
        Measurement(
            name="cim-masks",
            title="Training on photo-fashion-mnist, CIM with learned masks / with CAM boxes",
            values=masks,
            most=MASKS_MOST,
        ),
    ]


def photographs() -> list[np.ndarray[Any, Any]]:
    whole = np.asarray(load_sample_image("china.jpg"))
    corners = np.random.default_rng(0).integers(0, (427 - SIZE, 640 - SIZE), (IMAGES, 2))
    return [np.ascontiguousarray(whole[r : r + SIZE, c : c + SIZE]) for r, c in corners]


def _encoded(images: list[np.ndarray[Any, Any]]) -> tuple[list[bytes], float]:
    codec = TwoResolution()
    start = time.perf_counter()
    payloads = [codec.encode(image, BOX) for image in images]
    rate = len(images) / (time.perf_counter() - start)
    top, bottom, left, right = BOX
    for image, payload in zip(images, payloads, strict=True):
        shown = codec.decode(payload)[top:bottom, left:right]
        if not np.array_equal(shown, image[top:bottom, left:right]):
            raise SystemExit("encode: the box is not stored bit for bit")
    return payloads, rate


class _Stored:
    """Images that are decoded whenever they are read."""

    def __init__(self, payloads: list[bytes]) -> None:
        self.payloads, self.codec = payloads, TwoResolution()

    def __getitem__(self, i: int) -> Tensor:
        return tvf.to_tensor(self.codec.decode(self.payloads[i]))

    def __len__(self) -> int:
        return len(self.payloads)


class _Decoded(_Stored):
    """The same images, decoded once."""

    def __init__(self, payloads: list[bytes]) -> None:
        super().__init__(payloads)
        self.images = [super(_Decoded, self).__getitem__(i) for i in range(len(payloads))]

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i]


def _epoch(memory: _Stored) -> float:
    """Seconds of an epoch: each batch holds as many new images, in memory, as exemplars."""
    torch.manual_seed(loops.SEED)
    net = resnet18(num_classes=10)
    optimizer = torch.optim.SGD(net.parameters(), lr=loops.RATE)
    new, labels = torch.rand(BATCH, 3, SIZE, SIZE), torch.arange(2 * BATCH) % 10
    start = time.perf_counter()
    for exemplars in DataLoader(memory, batch_size=BATCH, shuffle=True):
        optimizer.zero_grad()
        F.cross_entropy(net(torch.cat([new, exemplars])), labels).backward()
        optimizer.step()
    return time.perf_counter() - start


def _cim(masks: str) -> float:
    """Seconds to train two experiences of 5 classes with 500 images each."""
    stream = photo_fashion_mnist(n_experiences=2, fraction=5_000 / 60_000)
    torch.manual_seed(loops.SEED)
    net = small_resnet(input_shape=(3, 64, 64), n_classes=10, scenario="class")
    strategy = CIM(
        model=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=loops.RATE, momentum=0.9),
        masks=masks,
        mem_bytes=500_000,
        artifact_interval=1,
        train_mb_size=64,
        train_epochs=3,
        evaluator=None,
        plugins=[ResidentDataPlugin()],
    )
    experiences = list(stream.train_stream)
    start = time.perf_counter()
    for experience in experiences:
        strategy.train(experience)
    return time.perf_counter() - start
