"""Each data-free method is what a plain loop computes from its equations, with the same noise."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.plugins.data_free.generator import Generator
from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.plugins.quantization.calibrated_copy import quantized_copy
from cl_strategies.strategies import ZAQ, IntraQ, Qimera, ZeroQ
from cl_strategies.strategies.qimera import ConditionalGenerator

MEAN, DEVIATION = 0.3, 0.4
N, LATENT, LR = 6, 5, 0.01


class Small(nn.Module):
    """Two convolutions with BatchNorm, of which each step is easy to write down."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 5, 3)
        self.one, self.two = nn.BatchNorm2d(4), nn.BatchNorm2d(5)
        self.last = nn.Linear(5, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.first(x)).relu()
        return self.last(self.two(self.second(x)).relu().mean((2, 3)))


def affine(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Fifteen steps from ``low`` to ``high``, with the gradient of the clipped identity."""
    size = (high - low) / 15
    zero = (-low / size).round()
    values = ((x / size).round() + zero).clamp(0, 15).sub(zero) * size
    inside = x * ((x >= low) & (x <= high))
    return inside + (values - inside).detach()


def four_bits(w: Tensor) -> Tensor:
    ends = [end(w.detach().flatten(1), 1).view(-1, 1, 1, 1) for end in (torch.amin, torch.amax)]
    return affine(w, *ends)


class Loop:
    """A trained network, and a copy of it at four bits, written out."""

    def __init__(self, network: Small) -> None:
        self.trained = network
        self.student = copy.deepcopy(network)
        self.ranges: Tensor | None = None

    def student_of(self, x: Tensor, *, follow: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Return logits and feature maps; the range of activations follows ``x`` if asked to."""
        net = self.student
        x = MEAN + DEVIATION * x
        one = net.one(F.conv2d(x, four_bits(net.first.weight), net.first.bias))
        x = one.relu()
        if follow:
            found = torch.stack([x.detach().amin().clamp(max=0), x.detach().amax()])
            self.ranges = found if self.ranges is None else 0.9 * self.ranges + 0.1 * found
        x = affine(x, *self.ranges)
        two = net.two(F.conv2d(x, four_bits(net.second.weight), net.second.bias))
        return net.last(two.relu().mean((2, 3))), [one, two]

    def trained_of(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor], Tensor]:
        """Return logits, what each BatchNorm is given, what it gives, and the features."""
        net = self.trained
        a = net.first(MEAN + DEVIATION * x)
        one = net.one(a)
        b = net.second(one.relu())
        two = net.two(b)
        features = two.relu().mean((2, 3))
        return net.last(features), [a, b], [one, two], features

    def statistics(self, given: list[Tensor]) -> Tensor:
        """Batch statistics against those kept, a mean over layers."""
        losses = []
        for x, norm in zip(given, (self.trained.one, self.trained.two), strict=True):
            m = x.mean((0, 2, 3))
            v = (x - m.view(1, -1, 1, 1)).square().mean((0, 2, 3))
            off = (m - norm.running_mean).square().mean()
            losses.append(off + (v - norm.running_var).square().mean())
        return sum(losses) / 2

    def sgd(self, **options: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.student.parameters(), lr=LR, momentum=0.9, **options)


def draw(count: int, each: int = 1) -> Tensor:
    torch.randint(1, ())  # which task
    return torch.randint(0, 10, (count, each))


def noise(*shape: int) -> Tensor:
    return torch.randn(shape).double()


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def soft(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * (logits - logits.logsumexp(1, keepdim=True))).sum() / len(logits)


def taught(logits: Tensor, targets: Tensor, theirs: Tensor, alpha: float) -> Tensor:
    q, p = (x.div(20).softmax(1) for x in (theirs.detach(), logits))
    return soft(logits, targets) + alpha * 400 * (q * (q / p).log()).sum() / q.numel()


def zeroq(loop: Loop) -> None:
    draw(1)
    images = noise(N, 1, 8, 8).requires_grad_()
    optimizer = torch.optim.Adam([images], lr=0.5)
    norms = (loop.trained.one, loop.trained.two)
    for _ in range(9):
        total = torch.zeros(()).double()
        given = [*loop.trained_of(images)[1], images]
        kept = [(n.running_mean, (n.running_var + 1e-6).sqrt()) for n in norms]
        for x, (mean, deviation) in zip(given, [*kept, (0.0, 1.0)], strict=True):
            m = x.mean((2, 3))
            places = x.shape[2] * x.shape[3]
            v = (x - m[:, :, None, None]).square().sum((2, 3)) / (places - 1)
            total = total + ((mean - m) ** 2 + (deviation - (v + 1e-6).sqrt()) ** 2).sum() / N
        descend(optimizer, total)
    loop.student_of(images.detach(), follow=True)


def relations(first: Tensor, second: Tensor) -> Tensor:
    """Sample by sample: matrices of channels by places."""
    total = torch.zeros(()).double()
    for a, b in zip(first, second, strict=True):
        maps = []
        for x in (a.flatten(1), b.flatten(1)):
            x = x / x.norm(dim=0, keepdim=True)
            places = (x.T @ x).softmax(1)
            energy = x @ x.T
            channels = (energy.max(1, keepdim=True).values - energy).softmax(1)
            maps.append((0.1 * (places @ x.T).T + x, 0.1 * channels @ x + x))
        total = total + sum((p - q).abs().sum() for p, q in zip(*maps, strict=True))
    return total / first.numel()


def zaq(loop: Loop) -> None:
    generator = Generator(LATENT, torch.empty(0, 1, 8, 8).double())
    draw(1)
    noise(2, 1, 8, 8)  # to find the feature maps

    def make() -> Tensor:
        draw(N)
        return generator(noise(N, LATENT))

    def difference(images: Tensor) -> tuple[Tensor, Tensor]:
        logits, _, theirs, _ = loop.trained_of(images)
        ours, maps = loop.student_of(images, follow=True)
        total = (ours - logits).abs().mean()
        return total + sum(relations(a, b) for a, b in zip(theirs, maps, strict=True)), theirs[-1]

    with torch.no_grad():
        loop.student_of(make(), follow=True)
    of_generator = torch.optim.Adam(generator.parameters(), lr=1e-3)
    of_student = loop.sgd(weight_decay=5e-4)
    for _ in range(2):
        for _ in range(3):
            descend(of_student, difference(make().detach())[0])
        loss, last = difference(make())
        descend(of_generator, -loss - 0.1 * last.abs().mean())


def qimera(loop: Loop) -> None:
    like = torch.empty(0, 1, 8, 8).double()
    generator = ConditionalGenerator(LATENT, Trained(loop.trained, like, CLASSES, KEEP, **SCALE))

    def make() -> tuple[Tensor, Tensor]:
        rows = draw(N, 2 if torch.rand(()) < 0.4 else 1)
        weights = torch.randn(rows.shape).softmax(1).double()
        targets = torch.zeros(N, 10).double()
        for row, classes in enumerate(rows.tolist()):
            for place, label in enumerate(classes):
                targets[row, label] += weights[row, place]
        return generator(rows, weights), targets

    def train_generator() -> None:
        images, targets = make()
        logits, given, _, _ = loop.trained_of(images)
        descend(of_generator, soft(logits, targets) + 0.1 * loop.statistics(given))

    of_generator = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    of_student = loop.sgd(weight_decay=1e-4, nesterov=True)
    for _ in range(3):
        train_generator()
    loop.student_of(make()[0].detach(), follow=True)
    for _ in range(4):
        images, targets = make()
        images = images.detach()
        theirs = loop.trained_of(images)[0]
        descend(of_student, taught(loop.student_of(images)[0], targets, theirs, 1.0))
        train_generator()


def cropped(images: Tensor) -> Tensor:
    """One crop of at least half of the area, enlarged, and perhaps flipped."""
    side = round((0.5 + 0.5 * float(torch.rand(()))) ** 0.5 * 8)
    top, left = (int(torch.randint(8 - side + 1, ())) for _ in range(2))
    part = images[:, :, top : top + side, left : left + side]
    part = F.interpolate(part, size=(8, 8), mode="bilinear", align_corners=False)
    return part.flip(3) if torch.rand(()) < 0.5 else part


def intraq(loop: Loop) -> None:
    draw(1)
    noise(2, 1, 8, 8)  # to find the last layer
    known: dict[int, list[Tensor]] = {}
    made = []
    for _ in range(3):
        labels = draw(N)[:, 0]
        targets = 0.6 + 0.4 * torch.rand(N)
        targets = torch.where(torch.rand(N) < 0.5, targets, 1.0).double()
        images = noise(N, 1, 8, 8).requires_grad_()
        optimizer = torch.optim.Adam([images], lr=0.5)
        for _ in range(5):
            seen = cropped(images) if torch.rand(()) < 0.5 else images
            logits, given, _, features = loop.trained_of(seen)
            reached = logits.softmax(1)[torch.arange(N), labels]
            loss = loop.statistics(given) + (reached - targets).square().mean()
            distances = [
                1 - F.cosine_similarity(feature, torch.stack(known[label]).mean(0), dim=0)
                for feature, label in zip(features, labels.tolist(), strict=True)
                if label in known
            ]
            costs = [F.relu(0.2 - d) + F.relu(d - 0.3) for d in distances]
            descend(optimizer, loss + sum(costs) / max(1, len(costs)))
        images = images.detach()
        features = loop.trained_of(images)[3].detach()
        for feature, label in zip(features, labels.tolist(), strict=True):
            known.setdefault(label, []).append(feature)
        made.append((images, labels))
    loop.student_of(torch.cat([images for images, _ in made]), follow=True)
    of_student = loop.sgd(weight_decay=1e-4)
    for step in range(4):
        images, labels = made[step % 3]
        targets = F.one_hot(labels, 10).double()
        theirs = loop.trained_of(images)[0]
        descend(of_student, taught(loop.student_of(images)[0], targets, theirs, 20.0))


CLASSES = {0: list(range(10))}
SCALE = {"mean": MEAN, "deviation": DEVIATION}


def KEEP(network: Any, logits: Any, tasks: Any) -> Any:
    return logits


CASES: list[tuple[Any, Callable[[Loop], None], dict[str, Any]]] = [
    (ZeroQ, zeroq, {"iterations": 9}),
    (ZAQ, zaq, {"iterations": 2, "student_steps": 3, "latent": LATENT, "lr": LR}),
    (Qimera, qimera, {"iterations": 4, "warmup": 3, "latent": LATENT, "lr": LR}),
    (
        IntraQ,
        intraq,
        {"iterations": 4, "image_iterations": 5, "batches": 3, "lr": LR, "lower": 0.2}
        | {"upper": 0.3},
    ),
]


@pytest.mark.parametrize(("kind", "loop_of", "options"), CASES, ids=[c[1].__name__ for c in CASES])
def test_a_method_is_what_a_plain_loop_computes(
    kind: Any, loop_of: Callable[[Loop], None], options: dict[str, Any]
) -> None:
    torch.manual_seed(5)
    network, x = Small().double(), torch.rand(64, 1, 8, 8).double()
    for _ in range(30):
        network(MEAN + DEVIATION * x)  # statistics to match
    network.eval()
    strategy = kind(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        evaluator=None,
        images=N,
        input_mean=MEAN,
        input_deviation=DEVIATION,
        **options,
    )
    student = quantized_copy(network, **strategy.settings)
    loop = Loop(copy.deepcopy(network))
    torch.manual_seed(6)
    strategy.fit(student, Trained(network, x[:0], CLASSES, KEEP, **SCALE))
    after = torch.rand(())
    torch.manual_seed(6)
    loop_of(loop)
    assert torch.rand(()) == after  # as much noise was drawn
    expected = dict(loop.student.named_parameters())
    for name, found in student.named_parameters():
        torch.testing.assert_close(found, expected[name], rtol=1e-9, atol=1e-11)
        moved = not torch.equal(found, network.get_parameter(name))
        assert moved == (kind is not ZeroQ)
    with torch.no_grad():
        torch.testing.assert_close(student(MEAN + DEVIATION * x), loop.student_of(x)[0])
