from __future__ import annotations

from cl_strategies.reports.analysis.findings import findings, notices
from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.tables import aggregate
from cl_strategies.reports.reading.collection import Collection, Run


def _sentences(records) -> list[str]:
    found = findings(aggregate(records), "synthetic-stream")
    return [f"{item.name} {item.text}".replace("\u00a0", " ").strip() for item in found]


def _notices(records, environments=None) -> list[str]:
    environments = environments or [{}] * len(records)
    runs = tuple(
        Run(directory=f"run-{k}", record=record, environment=environment)
        for k, (record, environment) in enumerate(zip(records, environments, strict=True))
    )
    return notices(Collection(runs=runs), group_records(records))


def test_the_leader_and_those_level_with_it_are_named(make_record) -> None:
    values = {"a": (0.80, 0.82), "b": (0.79, 0.81), "c": (0.5, 0.52)}
    sentences = _sentences(
        make_record(name, seed=seed, metrics={"average_accuracy": value, "forgetting": drop})
        for (name, pair), drop in zip(values.items(), (0.3, 0.2, 0.1), strict=True)
        for seed, value in enumerate(pair)
    )
    assert sentences[0] == (
        "a has the highest average accuracy, 81.0 ± 1.4 %; b (80.0 %) cannot be told apart from it."
    )
    assert sentences[1] == (
        "c forgets least, 10.0 ± 0.0 %; b (20.0 %) and a (30.0 %) cannot be told apart from it. "
        "Its average accuracy is 51.0 ± 1.4 %."
    )


def test_a_strategy_that_is_shown_to_be_better_is_said_to_be(make_record) -> None:
    sentences = _sentences(
        make_record(name, seed=seed, metrics={"average_accuracy": level + 0.01 * (seed % 3)})
        for name, level in (("a", 0.8), ("b", 0.5))
        for seed in range(6)
    )
    assert sentences[0] == "a has the highest average accuracy, 81.0 ± 0.9 %, the better one."


def test_a_reference_is_reported_but_not_ranked(make_record, joint_matrix) -> None:
    sentences = _sentences(
        [make_record("joint", matrix=joint_matrix), make_record("a"), make_record("b", keep=0.5)]
    )
    assert sentences[0].startswith("a has the highest average accuracy")
    assert "joint (a reference, not ranked) reaches 90.0 %." in sentences


def test_a_single_strategy_is_not_called_best(make_record) -> None:
    (sentence, warning) = _sentences([make_record()])
    assert "highest" not in sentence
    assert "run once" in warning


def test_a_tie_is_called_a_tie(make_record) -> None:
    sentences = _sentences([make_record("a"), make_record("b"), make_record("c", keep=0.5)])
    assert sentences[0].startswith("a and b have the highest average accuracy, ")
    assert sentences[1].startswith("a and b forget least, ")
    sentences = _sentences([make_record("a"), make_record("b")])
    assert sentences[0].startswith("All strategies have the same average accuracy, ")


def test_no_finished_run(make_record) -> None:
    assert _sentences([make_record(failed=True)]) == ["No run on this benchmark finished."]


def test_unequal_comparisons_are_announced(make_record) -> None:
    text = " ".join(
        _notices(
            [
                make_record("a"),
                make_record("a", seed=1),
                make_record("b", train={"epochs": 5}),
                make_record("b", seed=1, failed=True, train={"epochs": 5}),
            ]
        )
    )
    assert "1 run failed" in text
    assert "b lacks some" in text
    assert "differ in train.epochs" in text


def test_mixed_machines_are_announced(make_record) -> None:
    records = [make_record("a"), make_record("b")]
    assert _notices(records, [{"processor": "x"}, {"processor": "x", "python": "y"}]) == []
    (notice,) = _notices(records, [{"processor": "x"}, {"processor": "y"}])
    assert "training times" in notice


def test_a_run_that_was_continued_elsewhere_is_announced(make_record) -> None:
    earlier = [{"python": "x", "processor": "p"}, "odd"]
    moved = {"python": "y", "processor": "p", "earlier": earlier}
    (notice,) = _notices([make_record("a"), make_record("b")], [moved, {"processor": "p"}])
    assert notice.startswith("1 run continued on another machine, or with other versions")
    assert _notices([make_record("a")], [{"processor": "p", "earlier": "odd"}]) == []


def test_a_fair_comparison_has_no_notice(make_record) -> None:
    assert _notices([make_record(name, seed=seed) for name in "ab" for seed in (0, 1)]) == []


def _timed(make_record, **seconds):
    return [
        make_record(name, seed=seed, metrics={"train_seconds": value})
        for name, values in seconds.items()
        for seed, value in enumerate(values)
    ]


def test_times_that_differ_within_one_strategy_are_announced(make_record) -> None:
    records = _timed(make_record, even=(10.0, 11.0, 14.0), uneven=(10.0, 31.0, 10.0))
    (notice,) = _notices(records)
    assert notice.replace("\u00a0", " ").startswith(
        "The training times of some strategies differ by more than a factor of 1.5 between their "
        "own runs: uneven on synthetic-stream (10.0 s to 31.0 s)."
    )
    assert "do not compare training times" in notice and " even" not in notice


def test_times_are_compared_between_repetitions_that_finished_only(make_record) -> None:
    records = _timed(make_record, slow=(90.0, 95.0), fast=(1.0, 1.1), short=(0.01, 0.2), one=(3.0,))
    records += [make_record("slow", seed=7, failed=True)]
    records += _timed(make_record, unknown=(None, 5.0))
    assert not [notice for notice in _notices(records) if "training times of" in notice]


def test_of_many_uneven_times_the_worst_are_named(make_record) -> None:
    factors = {f"s{factor}": (2.0, 2.0 * factor) for factor in (2, 3, 4, 5, 6, 7)}
    (notice,) = _notices(_timed(make_record, **factors))
    assert notice.index("s7 on") < notice.index("s6 on") < notice.index("s5 on")
    assert "3 others" in notice and "s2 on" not in notice
