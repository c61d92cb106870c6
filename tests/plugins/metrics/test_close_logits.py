"""Predictions are those that the accuracy counts, however close two logits are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from cl_strategies.plugins import StreamPredictions


def test_logits_that_differ_in_the_last_bit_give_the_class_of_the_larger_one():
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2000, 4, generator=draw)
    logits[:, 1] = torch.nextafter(logits[:, 0], torch.tensor(torch.inf))
    assert (logits.log_softmax(1).argmax(1) != logits.argmax(1)).any()
    keeper = StreamPredictions(competing="all")
    keeper.load_state_dict({"stream": "test", "order": [0], "classes": [[0, [0, 1, 2, 3]]]})
    experience = SimpleNamespace(
        current_experience=0, task_labels=[0], origin_stream=SimpleNamespace(name="test")
    )
    strategy = SimpleNamespace(
        experience=experience, mb_output=logits, mb_y=torch.zeros(2000, dtype=torch.long)
    )
    keeper.before_eval(strategy)
    keeper.before_eval_exp(strategy)
    keeper.after_eval_iteration(strategy)
    keeper.after_eval(strategy)
    latest = keeper.latest
    assert latest is not None
    assert np.array_equal(latest.predictions, logits.argmax(1).numpy())
    assert np.array_equal(latest.task_aware, latest.predictions)
    expected = logits.softmax(1).gather(1, logits.argmax(1)[:, None])[:, 0]
    assert np.allclose(latest.confidence, expected.numpy(), atol=1e-6)
