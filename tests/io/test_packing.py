"""Tensors packed into one come back as they were, and nothing else does."""

from __future__ import annotations

import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.comparison import differences
from cl_strategies.io.packing import LARGEST, pack, stacked, unpack, unstacked

TENSORS = {
    "float": torch.randn(3, 4),
    "scalar": torch.tensor(7),
    "bool": torch.tensor([True, False, True]),
    "half": torch.randn(5).bfloat16(),
    "complex": torch.randn(2, dtype=torch.complex64),
    "strided": torch.randn(4, 6).t()[1:4],
    "empty": torch.empty(0, 3),
    "large": torch.randn(LARGEST),
}


def test_a_nest_comes_back_bit_for_bit():
    nest = {"a": [TENSORS, (1, "x", None)], "b": {"n": torch.tensor(float("nan"))}, 3: 4}
    content, data = pack(nest)
    assert differences(unpack(content, data, most=10**4), nest) == []
    assert torch.is_tensor(content["a"][0]["large"]) and not torch.is_tensor(content["b"]["n"])


def test_a_thousand_tensors_are_one():
    content, data = pack([torch.randn(3) for _ in range(1000)])
    assert data.numel() == 12_000 and not any(map(torch.is_tensor, content))


def test_tensors_by_name_come_back():
    back = unstacked(stacked(TENSORS))
    assert list(back) == list(TENSORS)
    assert differences(back, {k: v.contiguous() for k, v in TENSORS.items()}) == []


MARKER = "packed tensor"


@pytest.mark.parametrize(
    "marker",
    [
        [0, "torch.float32", 3],
        [-4, "torch.float32", 1],
        [4, "torch.float32", 2],
        [0, "torch.float32", 10**18],
        [0, "os.system", 1],
        [0, "torch.float32", True],
        [0],
        5,
        None,
    ],
)
def test_markers_that_fit_nothing_are_refused(marker):
    with pytest.raises((ValueError, TypeError)):
        unpack({MARKER: marker}, torch.zeros(8, dtype=torch.uint8), most=100)


def test_a_few_bytes_do_not_become_many():
    marker = {MARKER: [0, "torch.uint8", 1000]}
    with pytest.raises(ValueError, match="overlap"):
        unpack([marker] * 10**6, torch.zeros(1000, dtype=torch.uint8), most=10**7)
    nest = [1]
    for _ in range(60):
        nest = [nest, nest]
    with pytest.raises(ValueError, match="more parts"):
        unpack(nest, torch.zeros(0, dtype=torch.uint8), most=1000)


@pytest.mark.parametrize(
    "change",
    [
        {"layout": "["},
        {"layout": "[]"},
        {"layout": '[["a", "torch.float32", 4]]'},
        {"layout": '[["a", "torch.float32", 2]]'},
        {"layout": '[["a", "nothing", 3]]'},
        {"layout": "[5]"},
        {"layout": 5},
    ],
)
def test_a_layout_that_does_not_fit_is_refused(change):
    node = stacked({"a": torch.zeros(3)})
    with pytest.raises(UserError, match="the state holds"):
        unstacked({**node, **change})
