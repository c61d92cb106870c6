"""The part of the stream contract that is about the parts of an online stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def part_violations(benchmark: Any) -> Iterator[str]:
    """List the ways in which the train stream of an online benchmark breaks the contract.

    :param benchmark: whose ``whole_stream`` and ``test_stream`` keep it.
    """
    train, counts = getattr(benchmark, "train_stream", None), benchmark.info.parts
    whole = benchmark.whole_stream
    if train is None or len(counts) != len(whole) or len(train) != sum(counts):
        found = "no" if train is None else len(train)
        yield f"train: {found} parts, info names {counts}"
        return
    places = [(k, place) for k, count in enumerate(counts) for place in range(count)]
    ids: list[list[int]] = [[] for _ in counts]
    for position, (part, (k, place)) in enumerate(zip(train, places, strict=True)):
        where = f"train part {position}"
        yield from (f"{where}: {line}" for line in _part(part, position, benchmark))
        flags = (part.is_first_subexp, part.is_last_subexp, part.sub_stream_length)
        if flags != (place == 0, place == counts[k] - 1, counts[k]):
            yield f"{where}: is part {place} of {counts[k]}, but says {flags}"
        if part.origin_experience is not whole[k]:
            yield f"{where}: origin_experience is not experience {k} of whole_stream"
        ids[k] += list(getattr(part.dataset, "sample_ids", ()))
    for k, experience in enumerate(whole):
        if sorted(ids[k]) != sorted(experience.dataset.sample_ids):
            yield f"the parts of experience {k} do not have each of its samples once"


def _part(part: Any, position: int, benchmark: Any) -> Iterator[str]:
    whole = part.origin_experience
    if part.benchmark is not benchmark:
        yield "benchmark is another benchmark"
    if part.current_experience != position:
        yield f"current_experience is {part.current_experience}"
    if part.task_labels != whole.task_labels:
        yield f"task_labels is {part.task_labels!r}, those of its experience {whole.task_labels!r}"
    classes, found = part.classes_in_this_experience, sorted(set(part.dataset.targets))
    if classes != found or not found:
        yield f"classes_in_this_experience is {classes!r}, its samples are of {found}"
