from __future__ import annotations

import re
import sys

import matplotlib
import matplotlib.figure
import numpy as np
import pytest

from cl_strategies.reports.analysis.curves.experiences import mean_matrix, seen_accuracy
from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.tables import summarize
from cl_strategies.reports.plots.curves import curves_svg
from cl_strategies.reports.plots.figures import curve_figures, forgetting_figures
from cl_strategies.reports.plots.matrices import matrix_svg
from cl_strategies.reports.plots.palette import assign_styles
from cl_strategies.reports.reading.collection import Collection, Run
from cl_strategies.reports.render.html import html_text
from cl_strategies.reports.sections.content import content_of


def test_the_curve_is_the_average_over_seen_tasks(make_record) -> None:
    first = [[0.9, None], [0.5, 0.7]]
    second = [[0.8, None], [0.4, 0.6]]
    (group,) = group_records([make_record(matrix=first), make_record(matrix=second, seed=1)])
    curve = seen_accuracy(group)
    np.testing.assert_allclose(curve.mean, [0.85, 0.55], atol=1e-15)
    np.testing.assert_allclose(curve.std, [0.1 / np.sqrt(2)] * 2, atol=1e-15)
    np.testing.assert_allclose(mean_matrix(group), [[0.85, np.nan], [0.45, 0.65]])


def test_joint_training_has_a_point_at_the_end_only(make_record, joint_matrix) -> None:
    (group,) = group_records([make_record("joint", matrix=joint_matrix)])
    curve = seen_accuracy(group)
    np.testing.assert_allclose(curve.mean, [np.nan, np.nan, 0.9])
    assert curve.only_at_the_end


def test_zero_shot_accuracies_do_not_enter_the_curve(make_record) -> None:
    (group,) = group_records([make_record(matrix=[[0.9, 0.1], [0.5, 0.7]])])
    np.testing.assert_allclose(seen_accuracy(group).mean, [0.9, 0.6])


def test_every_strategy_looks_different() -> None:
    names = [f"s{k:02d}" for k in range(24)] + ["naive", "joint", "cumulative", "single-task"]
    styles = assign_styles({name: name for name in names})
    looks = {(style.light, style.marker, style.dashes) for style in styles.values()}
    assert len(looks) == len(names)
    assert styles == assign_styles({name: name for name in reversed(names)})


def test_references_are_grey_and_dashed() -> None:
    styles = assign_styles({"naive": "naive", "joint (x=1)": "joint", "other": "other"})
    for label in ("naive", "joint (x=1)"):
        red, green, blue = (int(styles[label].light[k : k + 2], 16) for k in (1, 3, 5))
        assert max(red, green, blue) - min(red, green, blue) < 16
        assert styles[label].dashes
    assert not styles["other"].dashes


def test_colors_follow_the_scheme_of_the_page(make_record) -> None:
    groups = group_records([make_record("a")])
    styles = assign_styles({"a": "a"})
    svg = curves_svg(groups, styles, "key")
    assert f"var(--s0, {styles['a'].light})" in svg
    assert not re.search(rf"(?<!, ){styles['a'].light}", svg)
    assert all(name.startswith("key-") for name in re.findall(r' id="([^"]+)"', svg))


@pytest.mark.parametrize(("tasks", "numbers", "images"), [(1, 1, 0), (10, 55, 0), (11, 0, 1)])
def test_cells_show_numbers_up_to_ten_tasks(tasks: int, numbers: int, images: int) -> None:
    matrix = np.where(np.tri(tasks) > 0, 0.777, np.nan)
    svg = matrix_svg(matrix, "key")
    assert len(re.findall(r">77\.7<|>78<", svg)) == numbers
    assert svg.count("<image") == images


def test_figures_say_their_numbers_in_words(make_record) -> None:
    records = [make_record("a", metrics={"average_accuracy": 0.5, "forgetting": 0.25})]
    groups = group_records(records)
    styles = assign_styles({"a": "a"})
    rows = summarize(groups)
    assert "a 50.0\u00a0%" in curve_figures(groups, rows, styles)[0].alt
    assert "a 25.0\u00a0%" in forgetting_figures(rows, styles)[0].alt


def test_drawing_leaves_matplotlib_alone(make_record) -> None:
    before = dict(matplotlib.rcParams)
    pyplot_before = "matplotlib.pyplot" in sys.modules
    curves_svg(group_records([make_record("a")]), assign_styles({"a": "a"}), "key")
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot_before


def test_the_users_matplotlib_settings_do_not_matter(make_record) -> None:
    groups, styles = group_records([make_record("a")]), assign_styles({"a": "a"})
    expected = curves_svg(groups, styles, "key")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
        assert curves_svg(groups, styles, "key") == expected


def test_dollar_signs_in_names_are_not_mathematics(make_record) -> None:
    svg = curves_svg(group_records([make_record("$x_1$")]), assign_styles({"$x_1$": "a"}), "key")
    assert ">$x_1$</text>" in svg


def test_more_strategies_make_no_more_figures_of_matplotlib(make_record, monkeypatch) -> None:
    """Drawing a heat map for each took four fifths of a report of fifty variants."""
    saved: list[int] = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure,
        "savefig",
        lambda self, *args, **kwargs: (saved.append(1), save(self, *args, **kwargs))[1],
    )
    counts = []
    for strategies in (2, 12):
        records = [make_record(f"s{k}", keep=0.6 + 0.02 * k) for k in range(strategies)]
        saved.clear()
        html_text(
            content_of(
                Collection(runs=tuple(Run(directory=r.config_hash, record=r) for r in records)),
                "title",
            )
        )
        counts.append(len(saved))
    assert counts[0] == counts[1] > 0


def test_a_number_stands_in_its_cell() -> None:
    svg = matrix_svg(np.array([[0.125, np.nan], [0.5, 0.75]]), "key")
    cells = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    texts = {
        text: (float(x), float(y))
        for x, y, text in re.findall(
            r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>(12\.5|50\.0|75\.0)<', svg
        )
    }
    assert len(cells) == len(texts) == 3
    for (x, y, width, height), text in zip(
        (map(float, cell) for cell in cells), ("12.5", "50.0", "75.0"), strict=True
    ):
        assert x < texts[text][0] < x + width and y < texts[text][1] < y + height
    assert texts["12.5"][0] == texts["50.0"][0] < texts["75.0"][0]
    assert texts["12.5"][1] < texts["50.0"][1] == texts["75.0"][1]
