"""The accumulation of online EWC: reference vectors, and that the penalty uses it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.regularization.ewc import ewc_surrogate
from cl_strategies.plugins.regularization.functional import accumulate_importance

GOLDEN = Path(__file__).parents[2] / "golden" / "rows" / "online_ewc.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.mark.parametrize("case", ["online0", "online1"])
def test_importances_accumulate_as_in_the_reference(golden, case):
    estimates, decay = golden[f"{case}_estimates"], float(golden[f"{case}_decay"])
    importance = torch.zeros_like(estimates[0])
    for estimate, expected in zip(estimates, golden[f"{case}_value"], strict=True):
        importance = accumulate_importance(importance, estimate, decay=decay)
        torch.testing.assert_close(importance, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("case", ["online0", "online1"])
def test_the_penalty_of_online_mode_has_these_importances(golden, case):
    estimates, decay = golden[f"{case}_estimates"], float(golden[f"{case}_decay"])
    surrogate = ewc_surrogate(mode="online", decay_factor=decay)
    model = torch.nn.ParameterDict({"w": torch.nn.Parameter(torch.zeros_like(estimates[0]))})
    for estimate, expected in zip(estimates, golden[f"{case}_value"], strict=True):
        surrogate.begin_experience(model)
        model["w"].data += 1
        surrogate.end_experience_with({"w": estimate})
        torch.testing.assert_close(surrogate.named("importance")["w"], expected, rtol=1e-12, atol=0)
        assert torch.equal(surrogate.named("center")["w"], model["w"].data)


def test_without_decay_importances_add_up_and_with_zero_the_last_remains():
    old, new = torch.rand(2, 5, dtype=torch.float64)
    assert torch.equal(accumulate_importance(old, new), old + new)
    assert torch.equal(accumulate_importance(old, new, decay=0.0), new)


@pytest.mark.parametrize(
    ("estimate", "decay", "message"),
    [
        (torch.ones(2), 1.0, "one shape"),
        (torch.ones(3), -0.5, "decay is -0.5"),
        (torch.ones(3), float("nan"), "decay is nan"),
    ],
)
def test_bad_input_is_refused_in_words(estimate, decay, message):
    with pytest.raises(UserError, match=message):
        accumulate_importance(torch.ones(3), estimate, decay=decay)
