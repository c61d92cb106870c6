"""Views of a mini-batch: what moves, what stays, what is drawn."""

import pytest
import torch

from cl_strategies.plugins.contrastive.views import view


def images(n=64, channels=3, side=16):
    return torch.rand(n, channels, side, side, dtype=torch.float64) * 5 - 2


def test_no_augmentation_is_the_samples_themselves():
    x = images()
    assert view(x, "none") is x


@pytest.mark.parametrize("kind", ["noise", "shift", "color", "auto"])
@pytest.mark.parametrize("shape", [(6, 3, 8, 8), (6, 1, 8, 9), (6, 5), (6, 2, 3)])
def test_views_keep_shape_and_type_and_differ_from_one_another(kind, shape):
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(shape, dtype=dtype)
        before = x.clone()
        first, second = view(x, kind), view(x, kind)
        assert first.shape == shape and first.dtype == dtype and first.isfinite().all()
        assert not torch.equal(first, second)
        assert torch.equal(x, before)


def test_the_generator_of_torch_decides():
    x = images()
    for kind in ("noise", "shift", "color"):
        drawn = []
        for _ in range(2):
            torch.manual_seed(3)
            drawn.append(view(x, kind))
        assert torch.equal(*drawn)


def test_noise_is_a_tenth_of_the_deviation_of_the_values():
    for scale in (1.0, 40.0):
        x = scale * torch.randn(200, 50, dtype=torch.float64) + 3
        added = view(x, "noise") - x
        assert added.std().item() == pytest.approx(0.1 * x.std().item(), rel=0.03)
        assert abs(added.mean().item()) < 0.01 * scale
    assert torch.equal(view(torch.ones(4, 3), "noise"), torch.ones(4, 3))


def test_shifted_images_move_by_up_to_an_eighth_and_leave_darkness_behind():
    x = torch.zeros(300, 2, 16, 16, dtype=torch.float64)
    x[:, 0], x[:, 1] = -1, 4  # the darkest values of the channels
    x[:, :, 8, 8] = 100
    moved = view(x, "shift")
    bright = (moved[:, 0] > 50).nonzero()
    assert len(bright) == 300
    offsets = bright[:, 1:] - 8
    assert offsets.abs().max() == 2 and len(offsets.unique(dim=0)) == 25
    rest = moved[moved < 50]
    deviation = 0.1 * x.std(correction=0)
    assert (rest.mean() - 1.5).abs() < deviation and (rest.std() - 2.5).abs() < deviation


def test_colors_stay_within_the_range_of_their_channel_and_some_images_are_gray():
    x = images(400)
    x[:, 2] += 10
    colored = view(x, "color")
    low, high = x.amin((0, 2, 3)), x.amax((0, 2, 3))
    for channel in range(3):
        assert colored[:, channel].min() >= low[channel] - 1e-9
        assert colored[:, channel].max() <= high[channel] + 1e-9
    share = (colored - low.view(1, 3, 1, 1)) / (high - low).view(1, 3, 1, 1)
    gray = (share.amax(1) - share.amin(1)).amax((1, 2)) < 1e-9
    assert 0.1 < gray.double().mean() < 0.3


def test_the_choice_by_itself_recolors_images_of_three_channels_and_adds_noise_to_all_else():
    for shape, kind in (((9, 3, 8, 8), "color"), ((9, 1, 8, 8), "noise"), ((9, 7), "noise")):
        x, drawn = torch.rand(shape), []
        for name in ("auto", kind):
            torch.manual_seed(1)
            drawn.append(view(x, name))
        assert torch.equal(*drawn)
