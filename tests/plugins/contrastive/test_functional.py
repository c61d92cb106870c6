"""The losses of PRD: reference vectors, the same by loops, limits, where gradients go."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.plugins.contrastive.functional import (
    nearest_prototype,
    prototype_loss,
    prototype_scores,
    relation_distillation,
    supervised_contrastive_loss,
)

VECTORS = np.load(Path(__file__).parents[2] / "golden" / "rows" / "prd.npz")


def vector(name):
    return torch.from_numpy(VECTORS[name])


def close(found, name, rtol=1e-9):
    torch.testing.assert_close(found, vector(name), rtol=rtol, atol=1e-12)


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64)


# ---------------------------------------------------------------------- contrast


@pytest.mark.parametrize("case", ["supcon0", "supcon1"])
def test_reference_vectors_of_the_contrastive_loss(case):
    views = vector(f"{case}_views").requires_grad_()
    loss = supervised_contrastive_loss(
        views,
        vector(f"{case}_labels").long(),
        temperature=VECTORS[f"{case}_temperature"].item(),
        base_temperature=VECTORS[f"{case}_base_temperature"].item(),
    )
    close(loss.detach(), f"{case}_value")
    close(torch.autograd.grad(loss, views)[0], f"{case}_d_views", 1e-8)


def contrast_by_loops(views, labels, temperature, base):
    """Khosla et al., Eq. 2, one anchor and one positive after the other."""
    rows = [(v / v.norm(), int(y)) for sample, y in zip(views, labels, strict=True) for v in sample]
    total = 0.0
    for a, (anchor, mine) in enumerate(rows):
        others = [(float(anchor @ z) / temperature, y) for b, (z, y) in enumerate(rows) if b != a]
        bottom = math.log(sum(math.exp(s) for s, _ in others))
        positives = [s - bottom for s, y in others if y == mine]
        total -= temperature / base * sum(positives) / len(positives)
    return total / len(rows)


@pytest.mark.parametrize("count", [2, 3])
def test_contrast_is_that_of_the_loops_with_any_number_of_views(count):
    views, labels = normal(6, count, 5), torch.tensor([3, 1, 3, 0, 1, 3])
    found = supervised_contrastive_loss(views, labels, temperature=0.3, base_temperature=0.2)
    assert found.item() == pytest.approx(contrast_by_loops(views, labels, 0.3, 0.2), rel=1e-12)


def test_contrast_depends_on_directions_and_on_which_labels_are_equal_alone():
    views, labels = normal(5, 2, 4), torch.tensor([0, 1, 0, 2, 1])
    lengths = torch.rand(5, 2, 1, dtype=torch.float64) + 0.5
    loss = supervised_contrastive_loss(views, labels)
    torch.testing.assert_close(supervised_contrastive_loss(views * lengths, labels), loss)
    torch.testing.assert_close(supervised_contrastive_loss(views, 7 - labels), loss)


def test_contrast_is_least_where_classes_are_points_far_apart():
    """Then a view has its positives at similarity 1 and all others at -1."""
    labels = torch.tensor([0, 0, 1, 1])
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    apart = supervised_contrastive_loss(points[labels][:, None].repeat(1, 2, 1), labels)
    expected = 0.1 / 0.07 * math.log(3 + 4 * math.exp(-20))
    assert apart.item() == pytest.approx(expected, rel=1e-12)
    for _ in range(20):
        assert supervised_contrastive_loss(normal(4, 2, 2), labels) > apart


def test_a_single_precision_contrast_at_a_low_temperature_is_finite():
    views = torch.randn(8, 2, 16, requires_grad=True)
    loss = supervised_contrastive_loss(views, torch.arange(8) % 2, temperature=1e-3)
    assert loss.isfinite() and torch.autograd.grad(loss, views)[0].isfinite().all()


@pytest.mark.parametrize("shape", [(3, 1, 4), (3, 4), (0, 2, 4), (2, 2, 4)])
def test_views_that_cannot_be_contrasted_are_refused(shape):
    with pytest.raises(UserError, match=r"give views \(N, V, d\), at least two"):
        supervised_contrastive_loss(torch.ones(shape), torch.zeros(3, dtype=torch.long))


# ---------------------------------------------------------------------- prototypes


def test_reference_vectors_of_prototypes():
    features = vector("prototype0_features").requires_grad_()
    prototypes = vector("prototype0_prototypes").requires_grad_()
    loss = prototype_loss(features, prototypes, vector("prototype0_labels").long())
    close(loss.detach(), "prototype0_value")
    given, none = torch.autograd.grad(loss, (prototypes, features), allow_unused=True)
    close(given, "prototype0_d_prototypes", 1e-8)
    assert none is None  # no gradient to the features
    close(prototype_scores(features, prototypes).detach(), "prototype0_scores")
    close(nearest_prototype(features, prototypes), "prototype0_prediction")


def test_prototype_loss_is_one_minus_the_mean_cosine():
    prototypes, labels = normal(3, 4), torch.tensor([2, 0, 2, 1])
    assert prototype_loss(3 * prototypes[labels], prototypes, labels).item() == pytest.approx(0)
    assert prototype_loss(-prototypes[labels], prototypes, labels).item() == pytest.approx(2)
    features = normal(4, 4)
    cosines = [
        f @ prototypes[y] / f.norm() / prototypes[y].norm()
        for f, y in zip(features, labels, strict=True)
    ]
    found = prototype_loss(features, prototypes, labels)
    torch.testing.assert_close(found, 1 - torch.stack(cosines).mean())


def test_the_nearest_prototype_is_that_of_the_largest_cosine_whatever_its_length():
    features, prototypes = normal(30, 4), normal(5, 4)
    lengths = torch.rand(5, 1, dtype=torch.float64) * 100 + 0.01
    cosines = F.cosine_similarity(features[:, None], prototypes[None], dim=2)
    assert torch.equal(nearest_prototype(features, prototypes * lengths), cosines.argmax(1))
    scores = prototype_scores(features, prototypes)
    torch.testing.assert_close(prototype_scores(features, prototypes * lengths), scores)


# ---------------------------------------------------------------------- relations


@pytest.mark.parametrize("case", ["relation0", "relation1"])
def test_reference_vectors_of_the_relation_distillation(case):
    count = int(VECTORS[f"{case}_tasks"])
    features = vector(f"{case}_features").requires_grad_()
    new = [vector(f"{case}_prototypes_{n}").requires_grad_() for n in range(count)]
    old = [vector(f"{case}_old_prototypes_{n}").requires_grad_() for n in range(count)]
    old_features = vector(f"{case}_old_features").requires_grad_()
    loss = relation_distillation(
        features, new, old_features, old, temperature=VECTORS[f"{case}_temperature"].item()
    )
    close(loss.detach(), f"{case}_value")
    loss.backward()
    close(features.grad, f"{case}_d_features", 1e-8)
    for n in range(count):
        close(new[n].grad, f"{case}_d_prototypes_{n}", 1e-8)
    assert old_features.grad is None and all(p.grad is None for p in old)


def test_relations_that_have_not_changed_cost_nothing_and_pull_at_nothing():
    features = normal(5, 4).requires_grad_()
    prototypes = [normal(3, 4).requires_grad_(), normal(2, 4).requires_grad_()]
    old = [2.5 * p.detach() for p in prototypes]  # lengths do not count
    loss = relation_distillation(features, prototypes, features.detach(), old)
    assert loss.item() == pytest.approx(0, abs=1e-15)
    loss.backward()
    for tensor in (features, *prototypes):
        torch.testing.assert_close(tensor.grad, torch.zeros_like(tensor), rtol=0, atol=1e-15)


def test_without_earlier_tasks_or_with_one_class_there_is_no_relation():
    features, old = normal(5, 4), normal(5, 4)
    assert relation_distillation(features, [], old, []).item() == 0
    one = relation_distillation(features, [normal(1, 4)], old, [normal(1, 4)])
    assert one.item() == 0


def test_relations_are_those_of_each_task_by_itself_and_grow_sharper_when_colder():
    features, old_features = normal(5, 4), normal(5, 4)
    new, old = [normal(3, 4), normal(2, 4)], [normal(3, 4), normal(2, 4)]
    both = relation_distillation(features, new, old_features, old)
    parts = [
        relation_distillation(features, [a], old_features, [b])
        for a, b in zip(new, old, strict=True)
    ]
    torch.testing.assert_close(both, parts[0] + parts[1])
    losses = [
        relation_distillation(features, new, old_features, old, temperature=t).item()
        for t in (0.5, 1.0, 10.0)
    ]
    assert losses[0] > losses[1] > losses[2] > 0


def test_tasks_without_old_prototypes_are_refused():
    with pytest.raises(UserError, match="prototypes of 2 tasks, and of 1 from before"):
        relation_distillation(normal(2, 3), [normal(2, 3)] * 2, normal(2, 3), [normal(2, 3)])
