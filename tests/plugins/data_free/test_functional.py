"""The functions of data-free quantization against reference vectors and by their limit cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.data_free import functional

GOLDEN = Path(__file__).parents[2] / "golden" / "rows"


@pytest.fixture
def vectors(request: Any) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{request.param}.npz") as file:
        return {key: torch.from_numpy(np.array(file[key])) for key in file.files}


def layers(values: dict[str, Tensor], prefix: str) -> list[list[Tensor]]:
    count = int(values[f"{prefix}layers"])
    return [
        [values[f"{prefix}{kind}_{layer}"].clone() for layer in range(count)]
        for kind in ("activation", "mean", "variance")
    ]


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.detach(), expected.to(found.dtype), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("vectors", ["zeroq"], indirect=True)
@pytest.mark.parametrize("case", [0, 1])
def test_statistics_of_samples(vectors: dict[str, Tensor], case: int) -> None:
    prefix = f"statistics{case}_"
    activations, means, variances = layers(vectors, prefix)
    inputs = vectors[f"{prefix}inputs"].clone() if f"{prefix}inputs" in vectors else None
    for leaf in (*activations, *([] if inputs is None else [inputs])):
        leaf.requires_grad_()
    loss = functional.sample_statistics_loss(activations, means, variances, inputs=inputs)
    loss.backward()
    close(loss, vectors[f"{prefix}value"])
    for layer, activation in enumerate(activations):
        close(activation.grad, vectors[f"{prefix}d_activation_{layer}"])
    if inputs is not None:
        close(inputs.grad, vectors[f"{prefix}d_inputs"])


@pytest.mark.parametrize("vectors", ["zaq"], indirect=True)
@pytest.mark.parametrize("case", [0, 1])
def test_relation_maps(vectors: dict[str, Tensor], case: int) -> None:
    first, second = (vectors[f"scrm{case}_{n}"].requires_grad_() for n in ("first", "second"))
    gamma = float(vectors[f"scrm{case}_gamma"])
    loss = functional.relation_map_loss(first, second, gamma=gamma)
    loss.backward()
    close(loss, vectors[f"scrm{case}_value"])
    close(first.grad, vectors[f"scrm{case}_d_first"])
    close(second.grad, vectors[f"scrm{case}_d_second"])
    assert functional.relation_map_loss(first, first) == 0


@pytest.mark.parametrize("vectors", ["qimera"], indirect=True)
@pytest.mark.parametrize("case", [0, 1])
def test_superposition(vectors: dict[str, Tensor], case: int) -> None:
    labels, weights, embeddings = (
        vectors[f"superpose{case}_{n}"] for n in ("labels", "weights", "embeddings")
    )
    soft = functional.superposed_labels(labels, weights, int(vectors[f"superpose{case}_classes"]))
    close(soft, vectors[f"superpose{case}_soft_labels"])
    close(soft.sum(1), torch.ones(len(soft)))
    made = functional.superposed_embedding(embeddings, weights)
    close(made, vectors[f"superpose{case}_embedding"])


@pytest.mark.parametrize("vectors", ["qimera"], indirect=True)
@pytest.mark.parametrize("case", [0, 1])
def test_losses_of_generator_and_student(vectors: dict[str, Tensor], case: int) -> None:
    def value(name: str) -> Tensor:
        return vectors[f"loss{case}_{name}"]

    statistics = layers(vectors, f"loss{case}_")
    for leaf in statistics[0]:
        leaf.requires_grad_()
    logits, targets = value("logits").clone().requires_grad_(), value("targets")
    close(functional.soft_cross_entropy(logits, targets), value("cross_entropy"))
    close(functional.batch_statistics_loss(*statistics), value("statistics"))
    weight = float(value("weight"))
    loss = functional.generator_loss(logits, targets, *statistics, weight=weight)
    loss.backward()
    close(loss, value("generator"))
    close(logits.grad, value("d_logits"))
    for layer, activation in enumerate(statistics[0]):
        close(activation.grad, value(f"d_activation_{layer}"))
    student = value("logits").clone().requires_grad_()
    options = {"temperature": float(value("temperature")), "alpha": float(value("alpha"))}
    loss = functional.distillation_loss(student, targets, value("teacher_logits"), **options)
    loss.backward()
    close(loss, value("student"))
    close(student.grad, value("student_d_logits"))
    same = functional.distillation_loss(student, targets, student, **options)
    close(same, functional.soft_cross_entropy(student, targets))  # KL(q || q) = 0


@pytest.mark.parametrize("vectors", ["intraq"], indirect=True)
def test_the_probability_of_a_class(vectors: dict[str, Tensor]) -> None:
    logits = vectors["target0_logits"].requires_grad_()
    labels, targets = vectors["target0_labels"].long(), vectors["target0_targets"]
    loss = functional.target_probability_loss(logits, labels, targets)
    loss.backward()
    close(loss, vectors["target0_value"])
    close(logits.grad, vectors["target0_d_logits"])


@pytest.mark.parametrize("vectors", ["intraq"], indirect=True)
@pytest.mark.parametrize("case", [0, 1])
def test_the_distance_from_a_class(vectors: dict[str, Tensor], case: int) -> None:
    prefix = f"distance{case}_"
    features = vectors[f"{prefix}features"].requires_grad_()
    lower, upper = vectors[f"{prefix}lower_upper"].tolist()
    found = functional.class_distance_penalty(
        features,
        vectors[f"{prefix}class_means"],
        vectors[f"{prefix}seen"].bool(),
        lower=lower,
        upper=upper,
    )
    sum(found).backward()
    close(found[0], vectors[f"{prefix}too_close"])
    close(found[1], vectors[f"{prefix}too_far"])
    close(features.grad, vectors[f"{prefix}d_features"])
    none = torch.zeros(len(features), dtype=torch.bool)
    assert functional.class_distance_penalty(features, features, none) == (0, 0)


def test_images_with_the_statistics_kept_cost_nothing() -> None:
    x = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    assert functional.batch_statistics_loss([x], [mean], [variance]) < 1e-25
    one = x[:1]
    args = [one], [one.mean((0, 2, 3))], [one.var((0, 2, 3))]
    assert functional.sample_statistics_loss(*args) < 1e-20


def test_what_does_not_fit_is_refused_in_words() -> None:
    x, c = torch.rand(2, 3, 4, 4), torch.ones(3)
    with pytest.raises(UserError, match="2 activations, 1 means and 1 variances"):
        functional.sample_statistics_loss([x, x], [c], [c])
    with pytest.raises(UserError, match="at least one"):
        functional.batch_statistics_loss([], [], [])
    with pytest.raises(UserError, match="one shape"):
        functional.relation_map_loss(x, x[:, :2])
    with pytest.raises(UserError, match=r"\(N, M\)"):
        functional.superposed_labels(torch.zeros(2, 2).long(), torch.ones(2, 3), 3)
    with pytest.raises(UserError, match="from 0 to 3, classes 3"):
        functional.superposed_labels(torch.tensor([[0, 3]]), torch.ones(1, 2), 3)
