"""The mathematics of CIM against reference vectors and Pillow."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codecs.nearest import box_means, low_size, nearest_index
from cl_strategies.plugins.exemplars.codecs.two_resolution import TwoResolution
from cl_strategies.plugins.masking.functional import (
    bounding_boxes,
    class_activation_map,
    downsample_background,
    mask_penalty,
    memory_cost,
    soft_compress,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "cim"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "indep_eq1_4_s1.npz") as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def test_activation_maps_match_equation_1(golden):
    maps = class_activation_map(golden["eq1_F"], golden["eq1_W"], golden["eq1_y"])
    torch.testing.assert_close(maps, golden["eq1_M"], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mask_penalty(maps), golden["R_phi"][0], rtol=1e-12, atol=0)


def test_a_constant_map_is_zero_with_zero_gradient():
    features = torch.ones(2, 3, 4, 4, requires_grad=True)
    maps = class_activation_map(features, torch.ones(5, 3), torch.tensor([1, 4]))
    assert torch.equal(maps, torch.zeros(2, 4, 4))
    mask_penalty(maps).backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_boxes_match_equation_2(golden):
    boxes = bounding_boxes(golden["eq1_M"], golden["HW"], threshold=0.6)
    assert torch.equal(boxes, golden["eq2_bbox_tau06"])
    one = bounding_boxes(golden["eq1_M"][1:2], tuple(golden["HW"][1].tolist()))
    assert torch.equal(one, golden["eq2_bbox_tau06"][1:2])


def test_a_map_that_is_constant_or_not_a_number_has_an_empty_box():
    cam = torch.stack([torch.zeros(7, 7), torch.full((7, 7), torch.nan)])
    assert bounding_boxes(cam, [[30, 40], [224, 224]]).tolist() == [[0, 0, 0, 0]] * 2
    assert bounding_boxes(cam[:0], torch.zeros(0, 2)).shape == (0, 4)


def test_a_box_covers_every_active_part_and_ends_one_past_the_last_pixel():
    cam = torch.zeros(1, 8, 8)
    cam[0, 1, 6] = cam[0, 5, 2] = 1
    assert bounding_boxes(cam, [8, 8], threshold=0.9).tolist() == [[1, 6, 2, 7]]


@pytest.mark.parametrize("index", range(3))
def test_images_match_equation_3_bit_for_bit(golden, index):
    image = golden[f"eq3_x{index}"]
    sizes, boxes = golden["HW"], golden["eq2_bbox_tau06"]
    row = [tuple(size) for size in sizes.tolist()].index(tuple(image.shape[:2]))
    assert torch.equal(
        downsample_background(image, boxes[row], eta=4.0), golden[f"eq3_xt_pil{index}"]
    )


def test_costs_match_equation_4(golden):
    for box, size, expected in zip(
        golden["eq2_bbox_tau06"], golden["HW"], golden["eq4_m_eta249"], strict=True
    ):
        found = [memory_cost(box, size, eta=eta) for eta in (2.0, 4.0, 9.0)]
        assert found == pytest.approx(expected.tolist(), abs=1e-12)


def test_soft_compression_matches_equation_s1(golden):
    found = soft_compress(golden["s1_x"], golden["s1_Mup"][:, 0], nearest="floor")
    torch.testing.assert_close(found, golden["s1_xt"], rtol=1e-12, atol=1e-12)


def test_soft_compression_with_a_hard_mask_is_what_is_stored():
    image = torch.randint(0, 256, (37, 50, 3), dtype=torch.uint8)
    mask = torch.zeros(1, 37, 50)
    mask[0, 4:20, 10:33] = 1
    soft = soft_compress(image.permute(2, 0, 1)[None].double(), mask)
    hard = downsample_background(image, (4, 20, 10, 33))
    assert torch.equal(soft[0].permute(1, 2, 0), hard.double())


def test_soft_compression_with_means_of_cells_is_what_is_stored():
    image = torch.randint(0, 256, (38, 50, 3), dtype=torch.uint8)
    mask = torch.zeros(1, 38, 50)
    mask[0, 4:20, 10:33] = 1
    soft = soft_compress(image.permute(2, 0, 1)[None].double(), mask, filter="box")
    codec = TwoResolution(filter="box")
    stored = codec.decode(codec.encode(image.numpy(), (4, 20, 10, 33)))
    assert np.abs(soft[0].permute(1, 2, 0).numpy() - stored).max() <= 1  # Pillow rounds twice


@settings(max_examples=60)
@given(data=st.data(), size=st.integers(1, 300))
def test_means_of_cells_are_those_of_pillow(data, size):
    target = data.draw(st.integers(1, size))
    impulses = Image.fromarray(np.eye(size, dtype=np.float32))
    expected = np.asarray(impulses.resize((target, size), Image.Resampling.BOX)).T
    np.testing.assert_allclose(box_means(size, target), expected, atol=1e-6)


@settings(max_examples=150)
@given(size=st.integers(1, 700), target=st.integers(1, 700))
def test_nearest_neighbours_are_those_of_pillow(size, target):
    line = Image.fromarray(np.arange(size, dtype=np.int32)[None])
    expected = np.asarray(line.resize((target, 1), Image.Resampling.NEAREST))[0]
    assert np.array_equal(nearest_index(size, target), expected)


@settings(max_examples=40)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    eta=st.floats(1, 30),
    seed=st.integers(0, 2**16),
)
def test_background_is_pillows_and_foreground_the_image(height, width, eta, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    h0, h1 = sorted(rng.integers(0, height + 1, 2).tolist())
    w0, w1 = sorted(rng.integers(0, width + 1, 2).tolist())
    low = low_size(height, width, eta)
    nearest = Image.Resampling.NEAREST
    expected = np.array(
        Image.fromarray(image).resize(low[::-1], nearest).resize((width, height), nearest)
    )
    expected[h0:h1, w0:w1] = image[h0:h1, w0:w1]
    found = downsample_background(torch.from_numpy(image), (h0, h1, w0, w1), eta=eta)
    assert np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda: class_activation_map(torch.ones(1, 3, 2, 2), torch.ones(4, 2), torch.tensor([0])),
        lambda: class_activation_map(torch.ones(2, 3, 2, 2), torch.ones(4, 3), torch.tensor([0])),
        lambda: bounding_boxes(torch.ones(2, 3, 3), [[3, 3]]),
        lambda: bounding_boxes(torch.ones(1, 3, 3), [3, 3], threshold=1.0),
        lambda: downsample_background(torch.ones(4, 4, 3), (0, 1, 0, 1)),
        lambda: downsample_background(torch.ones(4, 4, 3, dtype=torch.uint8), (0, 5, 0, 1)),
        lambda: memory_cost((0, 1, 0, 1), (4, 4), eta=0.5),
        lambda: memory_cost((0, 1, 0, 1), (4, 4), eta=float("nan")),
    ],
)
def test_bad_input_is_one_clear_error(call):
    with pytest.raises(UserError):
        call()
