"""Where marks lie, against places worked out by hand."""

import numpy as np
import pytest
from django.utils import translation

from diagnosis.portal import charts
from diagnosis.portal.charts import BOTTOM, HEIGHT, TOP, columns, lines, pair
from diagnosis.portal.views.dashboard import duration

BASE = HEIGHT - BOTTOM


def test_columns_stand_on_each_other() -> None:
    chart = columns("Fields", ["a", "b"], [("kept", [6, 0]), ("refused", [2, 0])])
    lower, upper = chart.blocks
    assert (lower.kind, upper.kind) == (0, 1)
    assert float(lower.y) + float(lower.height) == pytest.approx(BASE, abs=0.1)
    assert float(upper.y) + float(upper.height) == pytest.approx(float(lower.y), abs=0.1)
    assert float(lower.height) == pytest.approx(3 * float(upper.height), abs=0.3)
    assert [tick.text for tick in chart.y_ticks] == ["0", "2", "4", "6", "8"]
    assert float(upper.y) == pytest.approx(TOP, abs=0.1)
    assert chart.rows == [("a", ["6", "2"]), ("b", ["0", "0"])]


@pytest.mark.parametrize(
    ("largest", "last"), [(0, "1"), (1, "1"), (3, "3"), (7, "8"), (1234, "1,500")]
)
def test_counts_have_whole_ticks_that_hold_them(largest: int, last: str) -> None:
    ticks = [tick.text for tick in columns("n", ["a"], [("n", [largest])]).y_ticks]
    assert ticks[0] == "0"
    assert ticks[-1] == last
    assert not any("." in tick for tick in ticks)
    assert 2 <= len(ticks) <= 6


def test_a_line_breaks_where_there_is_nothing() -> None:
    chart = lines("Time", list("abcd"), [("median", [1.0, 2.0, None, 4.0])], "s", duration)
    (line,) = chart.lines
    assert [len(path.split()) for path in line.paths] == [2]
    assert len(line.dots) == 1
    assert float(line.dots[0][1]) == pytest.approx(TOP, abs=0.1)
    assert chart.rows[1:3] == [("b", ["2.0\xa0s"]), ("c", ["–"])]


@pytest.mark.parametrize("unit", ["s", "min", "ms"])
@pytest.mark.parametrize("largest", [0.002, 0.3, 12.5, 999, 123_456])
def test_no_label_of_an_axis_is_cut_off(largest: float, unit: str) -> None:
    """A letter is at most 0.63 of its size wide in the system fonts in which digits are widest."""
    for chart in (
        lines("Time", ["a"], [("median", [largest])], unit, duration),
        columns("n", ["a"], [("n", [int(1000 * largest)])]),
    ):
        widest = max(len(tick.text) for tick in chart.y_ticks)
        assert chart.left - chart.gap >= 0.63 * 12 * widest
        assert all(chart.left <= float(tick.at) <= chart.right for tick in chart.x_ticks)
        assert all(float(block.x) >= chart.left for block in chart.blocks)


def test_many_bins_have_few_labels_and_the_last_has_one() -> None:
    bins = [str(number) for number in range(90)]
    ticks = columns("n", bins, [("n", [1] * 90)]).x_ticks
    assert len(ticks) <= charts.LABELS_AT_MOST
    assert ticks[-1].text == "89"


def test_two_distributions_share_a_scale() -> None:
    found = pair(np.linspace(0, 1, 500), np.full(200, 0.75))
    assert (found.low, found.high) == ("0.005", "0.995")
    (block,) = found.blocks
    assert float(block.height) == pytest.approx(88, abs=0.1)
    assert float(block.x) == pytest.approx(0.75 * 240, abs=12)
    points = [tuple(map(float, point.split(","))) for point in found.outline.split()]
    assert points[0] == (0, 90)
    assert points[-1] == (240, 90)


def test_distributions_without_spread_are_drawn() -> None:
    assert len(pair(np.ones(10), np.ones(10)).blocks) == 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.032, "32 ms"),
        (0.25, "250 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (1.04, "1.0 s"),
        (59.94, "59.9 s"),
        (90, "1.5 min"),
        (5400, "1.5 h"),
        (100_000, "27.8 h"),
        (259_200, "3.0 d"),
    ],
)
def test_times_in_the_unit_that_fits(seconds: float | None, said: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == said


def test_figures_are_german_and_coordinates_are_not() -> None:
    def drawn() -> list[charts.Chart]:
        return [
            charts.columns("c", ["1", "2"], [("a", [1200, 4800])]),
            charts.lines("l", ["1", "2"], [("a", [0.3, 0.75])], "s", lambda v: duration(v * 60)),
        ]

    english = drawn()
    with translation.override("de"):
        german = drawn()
        both = charts.pair(np.linspace(0, 0.5, 50), np.linspace(0, 0.5, 50))
    assert english[0].y_ticks[-1].text == "6,000"
    assert german[0].y_ticks[-1].text == "6.000"
    assert english[1].y_ticks[1].text == "0.2\xa0s"
    assert german[1].y_ticks[1].text == "0,2\xa0s"
    assert german[1].rows[1][1] == ["45,0\xa0s"]
    assert "," in both.high
    assert [one.blocks for one in german] == [one.blocks for one in english]
    assert [one.lines for one in german] == [one.lines for one in english]
