"""The look at how masks are learned: its page has the tables of its file, and its parts measure."""

from __future__ import annotations

import pytest
import torch


def test_the_page_has_the_tables_of_the_file() -> None:
    from mask_learning import PAGE, written

    text = PAGE.read_text("utf-8")
    assert written(text) == text, "run python docs/mask_learning.py"


def test_each_part_measures_what_it_says() -> None:
    from mask_learning import LEARNED, blurred, boxes_by_terms, steps, trained

    found = trained(0, epochs=1, image_size=32, fraction=0.001)
    assert found.images.shape == (60, 3, 32, 32) and found.boxes.shape == (60, 4)
    weights = {name: value.clone() for name, value in found.strategy.model.state_dict().items()}

    by_rate = {rate: (before, after) for rate, before, after in steps(found, 2)}
    assert len({before for before, _ in by_rate.values()}) == 1  # the same batches for each rate
    changes = [abs(after - before) for before, after in by_rate.values()]
    assert 0 < changes[0] < changes[-1]

    kept = dict((name, loss) for name, loss, _ in blurred(found, 4.0))
    with torch.no_grad():
        logits = found.strategy.model(found.images)
    plain = torch.nn.functional.cross_entropy(logits, found.labels)
    assert kept["the whole image"] == pytest.approx(float(plain), rel=1e-5)
    assert len(set(kept.values())) == 4

    boxes = {name: (area, overlap) for name, area, overlap in boxes_by_terms(found, 1)}
    assert set(boxes) == {"class activation maps", *LEARNED}
    assert all(0 < area <= 1 and 0 <= overlap <= 1 for area, overlap in boxes.values())
    assert boxes["not learned"] != boxes["both own terms"]
    for name, value in found.strategy.model.state_dict().items():
        assert torch.equal(value, weights[name])
