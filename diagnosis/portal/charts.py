"""Where the marks of a chart lie. Templates in ``diagnosis/charts`` draw them as SVG.

Coordinates are strings with one decimal, so that no template writes a decimal comma into one;
the figures that are read are written as the language does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np
from django.utils.formats import number_format
from numpy.typing import NDArray

from diagnosis.reports.wording import figure

WIDTH, HEIGHT = 560, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 28, 8, 24  # margins of the plot, for labels; LEFT at the least
LETTER, GAP = 7.6, 6  # the widest of a label's digits in any system font; between label and plot
LABELS_AT_MOST = 6
BINS = 24  # of a distribution


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: str
    text: str


@dataclass(frozen=True)
class Block:
    """One rectangle of a column; ``kind`` is the number of its series."""

    x: str
    y: str
    width: str
    height: str
    kind: int


@dataclass(frozen=True)
class Line:
    """One series of a line chart: runs of points, and the points that stand alone."""

    paths: list[str]
    dots: list[tuple[str, str]]
    kind: int


@dataclass(frozen=True)
class Chart:
    """A chart with axes.

    Attributes:
        label: what it shows, in a sentence; the text alternative.
        names: of the series, for the legend and the table.
        rows: the table of the numbers: a label and one text a series.
    """

    label: str
    names: list[str]
    blocks: list[Block]
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    rows: list[tuple[str, list[str]]]
    left: int
    width: int = WIDTH
    height: int = HEIGHT
    gap: int = GAP
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM
    base: int = HEIGHT - 6


def columns(label: str, bins: Sequence[str], series: Sequence[tuple[str, Sequence[int]]]) -> Chart:
    """Stacked columns, one a bin.

    Args:
        bins: what each column is called.
        series: name and counts; the first stands at the bottom.
    """
    totals = [sum(counts) for counts in zip(*(values for _, values in series), strict=True)]
    scale = _scale(max(totals, default=0), least=1)
    y_ticks = [Tick(_text(_y(value / scale[-1])), _figure(value)) for value in scale]
    left = _left(y_ticks)
    step = (WIDTH - left - RIGHT) / max(len(bins), 1)
    blocks = []
    for place in range(len(bins)):
        below = 0
        for kind, (_, values) in enumerate(series):
            if values[place]:
                top = below + values[place]
                blocks.append(
                    Block(
                        x=_text(left + step * (place + 0.12)),
                        y=_text(_y(top / scale[-1])),
                        width=_text(step * 0.76),
                        height=_text(_y(below / scale[-1]) - _y(top / scale[-1])),
                        kind=kind,
                    )
                )
                below = top
    return Chart(
        label=label,
        names=[name for name, _ in series],
        blocks=blocks,
        lines=[],
        x_ticks=_x_ticks(bins, left),
        y_ticks=y_ticks,
        left=left,
        rows=[
            (name, [str(values[place]) for _, values in series]) for place, name in enumerate(bins)
        ],
    )


def lines(
    label: str,
    bins: Sequence[str],
    series: Sequence[tuple[str, Sequence[float | None]]],
    unit: str,
    written: Callable[[float], str],
) -> Chart:
    """Lines over bins, broken where a bin has no value.

    Args:
        unit: of the values, as the axis shows it.
        written: a value as the table of the numbers has it.
    """
    largest = max((v for _, values in series for v in values if v is not None), default=0.0)
    scale = _scale(largest)
    top, drawn = scale[-1], []
    y_ticks = [
        Tick(_text(_y(value / top)), f"{_figure(value)}\N{NO-BREAK SPACE}{unit}") for value in scale
    ]
    left = _left(y_ticks)
    for kind, (_, values) in enumerate(series):
        points = [
            value
            if value is None
            else (_text(_middle(place, len(bins), left)), _text(_y(value / top)))
            for place, value in enumerate(values)
        ]
        runs = _runs(points)
        drawn.append(
            Line(
                paths=[" ".join(f"{x},{y}" for x, y in run) for run in runs if len(run) > 1],
                dots=[run[0] for run in runs if len(run) == 1],
                kind=kind,
            )
        )
    return Chart(
        label=label,
        names=[name for name, _ in series],
        blocks=[],
        lines=drawn,
        x_ticks=_x_ticks(bins, left),
        y_ticks=y_ticks,
        left=left,
        rows=[
            (name, ["–" if v is None else written(v) for v in (of[place] for _, of in series)])
            for place, name in enumerate(bins)
        ],
    )


@dataclass(frozen=True)
class Pair:
    """Two distributions on one scale: what is expected as an outline, what is found as columns.

    Attributes:
        low, high: the ends of the scale, as printed.
    """

    outline: str
    blocks: list[Block]
    low: str
    high: str
    width: int = 240
    height: int = 90


def pair(expected: NDArray[np.float64], found: NDArray[np.float64]) -> Pair:
    """Both as shares by bin, over the range that holds all but the outermost hundredth of each."""
    shown = [values for values in (expected, found) if len(values)]
    low = min(float(np.quantile(values, 0.005)) for values in shown)
    high = max(float(np.quantile(values, 0.995)) for values in shown)
    if high <= low:
        low, high = low - 0.5, low + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shares = [
        np.histogram(np.clip(values, low, high), edges)[0] / max(len(values), 1)
        for values in (expected, found)
    ]
    top = max(share.max() for share in shares)
    step, height = 240 / BINS, 88
    corners = []
    for place, share in enumerate(shares[0]):
        y = _text(90 - height * share / top)
        corners += [f"{_text(step * place)},{y}", f"{_text(step * (place + 1))},{y}"]
    return Pair(
        outline=" ".join(["0.0,90.0", *corners, "240.0,90.0"]),
        blocks=[
            Block(
                x=_text(step * place),
                y=_text(90 - height * share / top),
                width=_text(step),
                height=_text(height * share / top),
                kind=0,
            )
            for place, share in enumerate(shares[1])
            if share
        ],
        low=figure(f"{low:.3g}"),
        high=figure(f"{high:.3g}"),
    )


def _scale(largest: float, least: float = 0) -> list[float]:
    """Round numbers from 0 up to at least ``largest``, up to six, ``least`` apart or more."""
    if largest <= least:
        return [0.0, least or 1.0]
    magnitude = 10 ** floor(log10(largest))
    step = next(
        step
        for step in (0.2 * magnitude, 0.5 * magnitude, magnitude, 2 * magnitude, 5 * magnitude)
        if step * 4 >= largest and step >= least
    )
    return [step * number for number in range(int(np.ceil(largest / step - 1e-9)) + 1)]


def _figure(value: float) -> str:
    if value >= 10 or value == int(value):
        return number_format(round(value), force_grouping=True)
    return figure(f"{value:.2g}")


def _text(value: float) -> str:
    return f"{value:.1f}"


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _left(ticks: Sequence[Tick]) -> int:
    """Where the plot begins, so that no label beside it is cut off."""
    return max(LEFT, ceil(LETTER * max(len(tick.text) for tick in ticks)) + GAP)


def _middle(place: int, count: int, left: int) -> float:
    return left + (WIDTH - left - RIGHT) * (place + 0.5) / count


def _x_ticks(bins: Sequence[str], left: int) -> list[Tick]:
    every = max(1, -(-len(bins) // LABELS_AT_MOST))
    return [
        Tick(_text(_middle(place, len(bins), left)), name)
        for place, name in enumerate(bins)
        if (len(bins) - 1 - place) % every == 0 and (place or every == 1)
    ]


def _runs(points: Sequence[tuple[str, str] | None]) -> list[list[tuple[str, str]]]:
    """Unbroken stretches of points."""
    runs: list[list[tuple[str, str]]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
