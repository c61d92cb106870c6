from __future__ import annotations

from cl_strategies.reports import aggregate, render_terminal_table


def test_the_table_is_aligned_and_narrow(make_record, joint_matrix) -> None:
    records = [
        make_record(name, seed=seed, keep=0.8 + 0.01 * seed + 0.001 * len(name))
        for name in ("a", "a-strategy-with-a-name-that-is-too-long-for-a-terminal")
        for seed in (0, 1)
    ]
    records += [make_record("joint", matrix=joint_matrix), make_record("b", failed=True)]
    text = render_terminal_table(aggregate(records))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "synthetic-stream"
    heading = lines[2]
    column = heading.index("  n") + 2
    cells = [line[column:] for line in lines[4:] if line and line[0] not in "-*~"]
    assert cells == ["2", "2", "0 (1 failed)", "1"]
    assert lines[-2] == ""
    assert "*" in text


def test_undefined_numbers_and_missing_spread_are_shown_plainly(make_record, joint_matrix) -> None:
    text = render_terminal_table(
        aggregate([make_record("joint", matrix=joint_matrix), make_record("a")])
    )
    joint = next(line for line in text.splitlines() if line.startswith("joint"))
    assert "90.0" in joint
    assert joint.count("\u2013") == 2
    assert "±" not in text


def test_one_block_for_each_benchmark(make_record) -> None:
    rows = aggregate([make_record(benchmark="one"), make_record("only-here", benchmark="two")])
    blocks = render_terminal_table(rows).split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["one", "two"]
    assert "only-here" not in blocks[0]


def test_nothing_but_failures(make_record) -> None:
    text = render_terminal_table(aggregate([make_record(failed=True)]))
    assert "0 (1 failed)" in text
