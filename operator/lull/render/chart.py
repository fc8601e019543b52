"""A chart of rates in characters: what came, what is expected, and what the replicas carry.

Pure: numbers in, rows of inked text out; whoever prints it chooses the colours. Lines are drawn with the dots of
braille characters, two by four in each, and with one plain character a cell where a terminal has nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from lull.render.canvas import ACROSS, DOWN, Canvas, Ink, Run

__all__ = ["Ahead", "Ink", "Line", "Run", "Scene", "draw"]


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is expected of the highest rate until a horizon."""

    horizon_s: float
    median_rps: float
    likely_rps: float
    """Nine times of ten it stays below this."""
    rare_rps: float
    """And 99 times of a hundred below this."""


@dataclass(frozen=True, slots=True)
class Line:
    """A rate all the way, and what to call it."""

    rps: float
    title: str
    ink: Ink


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be drawn."""

    past_rps: Sequence[float | None]
    """Mean rates of the steps until now, oldest first; None = unknown."""
    step_s: float
    ahead: Sequence[Ahead]
    """The nearest first."""
    lines: Sequence[Line] = ()


_SPANS_S: Final = (900.0, 1800.0, 3600.0, 7200.0)
"""Pasts that are shown of a model that is known for less than ..."""
_WHOLE_SPAN_S: Final = 10_800.0
"""... this."""
_TICKS_S: Final = (300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0, 86_400.0)
_TICK_WIDTH: Final = 11
"""Columns that a mark of the time needs."""
_LEAST_RPS: Final = 1e-6
"""What is less than this is drawn as nothing."""
_STEPS: Final = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
_TALLEST: Final = 2.5
"""Times that a rare rate may be higher than all else and still be shown whole."""


def draw(scene: Scene, width: int, height: int, *, plain: bool = False) -> list[list[Run]]:
    """The chart, row by row from the top, each row at most ``width`` characters.

    Args:
        scene: what is to be drawn.
        width: characters; at least 40 to be of use.
        height: rows of the picture; the time axis takes two more.
        plain: whether to do with ASCII.
    """
    top = _top(scene)
    marks = {0: _label(top), height // 2: _label(top * (1.0 - (height // 2) / height)), height - 1: "0"}
    left = max(len(mark) for mark in marks.values())
    right = max((len(line.title) + 1 for line in scene.lines), default=0)
    columns = max(10, width - left - 2 - right)
    canvas = Canvas(columns, height, top, _span_s(scene), _reach_s(scene))
    _fill(canvas, scene)
    titles = _titles(scene, canvas)
    rows = []
    for row in range(height):
        axis = _tick(plain) if row in marks else _bar(plain)
        runs = [(marks.get(row, "").rjust(left) + " " + axis, Ink.AXIS), *canvas.runs(row, plain=plain)]
        runs += [(f" {title}", ink) for title, ink in titles.get(row, ())[:1]]
        rows.append(runs)
    return [*rows, *_time_axis(canvas, left + 2, width, plain=plain)]


def _fill(canvas: Canvas, scene: Scene) -> None:
    now = canvas.x(0.0)
    for row in range(canvas.rows):
        canvas.mark(row, now // ACROSS, Ink.AXIS)
    for line in scene.lines:
        if line.rps <= canvas.top:
            for column in range(canvas.columns):
                canvas.mark(canvas.y(line.rps) // DOWN, column, line.ink)
    _past(canvas, scene, now)
    _fan(canvas, scene, now)


def _past(canvas: Canvas, scene: Scene, now: int) -> None:
    rates = [_rate(canvas, scene, x) for x in range(now)]
    first = next((x for x, rate in enumerate(rates) if rate is not None), now)
    before: int | None = None
    for x, rate in enumerate(rates[first:], first):
        if rate is None:
            canvas.mark(canvas.rows - 1, x // ACROSS, Ink.UNKNOWN)
            before = None
        else:
            before = _join(canvas, x, before, canvas.y(rate), Ink.PAST)


def _join(canvas: Canvas, x: int, before: int | None, y: int, ink: Ink) -> int:
    """One dot of a line, and those from the one before it, so that a jump leaves no gap."""
    last = y if before is None else before
    for between in range(min(y, last), max(y, last) + 1):
        canvas.dot(x, between, ink)
    return y


def _rate(canvas: Canvas, scene: Scene, x: int) -> float | None:
    """Highest rate of the steps that a dot column touches: a peak must not fall between two columns."""
    per_s = 1.0 / scene.step_s
    count = len(scene.past_rps)
    width_s = (canvas.span_s + canvas.reach_s) / canvas.across
    first = count + math.floor((canvas.at_s(x) - width_s / 2.0) * per_s + 1e-9)
    stop = max(first + 1, count + math.ceil((canvas.at_s(x) + width_s / 2.0) * per_s - 1e-9))
    rates = [rate for rate in scene.past_rps[max(first, 0) : max(stop, 0)] if rate is not None]
    return max(rates, default=None)


def _fan(canvas: Canvas, scene: Scene, now: int) -> None:
    start = next((rate for rate in reversed(scene.past_rps) if rate is not None), None)
    points = list(scene.ahead)
    if start is not None:
        points.insert(0, Ahead(0.0, start, start, start))
    before: int | None = None
    for x in range(now + 1, canvas.across):
        found = _between(points, canvas.at_s(x))
        if found is None:
            continue
        median, likely, rare = canvas.y(found.median_rps), canvas.y(found.likely_rps), canvas.y(found.rare_rps)
        for y in range(rare, median):
            # Dots thin out with the chance: every second one, then every fourth.
            is_likely = y >= likely
            if (x + y) % 2 == 0 and (is_likely or y % 2 == 0):
                canvas.dot(x, y, Ink.LIKELY if is_likely else Ink.RARE)
        before = _join(canvas, x, before, median, Ink.MEDIAN)


def _between(points: Sequence[Ahead], at_s: float) -> Ahead | None:
    for near, far in pairwise(points):
        if near.horizon_s <= at_s <= far.horizon_s:
            share = (at_s - near.horizon_s) / (far.horizon_s - near.horizon_s)
            rates = [
                getattr(near, name) + share * (getattr(far, name) - getattr(near, name))
                for name in ("median_rps", "likely_rps", "rare_rps")
            ]
            return Ahead(at_s, *rates)
    return None


def _titles(scene: Scene, canvas: Canvas) -> dict[int, list[Run]]:
    """What stands at the right of each row; of two lines in one row the later one is called."""
    found: dict[int, list[Run]] = {}
    for line in scene.lines:
        if line.rps <= canvas.top:
            found.setdefault(canvas.y(line.rps) // DOWN, []).insert(0, (line.title, line.ink))
    return found


def _time_axis(canvas: Canvas, left: int, width: int, *, plain: bool) -> list[list[Run]]:
    """A line with ticks, and their times below."""
    every_s = next(
        (s for s in _TICKS_S if canvas.columns * s / (canvas.span_s + canvas.reach_s) >= _TICK_WIDTH), _TICKS_S[-1]
    )
    first, last = -math.floor(canvas.span_s / every_s), math.floor(canvas.reach_s / every_s)
    ticks = {canvas.x(k * every_s) // ACROSS: _time(k * every_s) for k in range(first, last + 1)}
    across, tick, corner = ("-", "+", "+") if plain else ("\u2500", "\u252c", "\u2514")
    line = "".join(tick if column in ticks else across for column in range(canvas.columns))
    labels = [" "] * width
    for column, text in ticks.items():
        at = min(left + column - len(text) // 2, width - len(text))
        labels[at : at + len(text)] = text
    return [[(" " * (left - 1) + corner + line, Ink.AXIS)], [("".join(labels).rstrip(), Ink.AXIS)]]


def _time(seconds: float) -> str:
    if seconds == 0.0:
        return "now"
    away_s = abs(seconds)
    text = f"{away_s / 60.0:.3g} min" if away_s < 3600.0 else f"{away_s / 3600.0:.3g} h"
    return f"{'-' if seconds < 0 else '+'}{text}"


def _top(scene: Scene) -> float:
    """Upper end of the scale: a round number above all, unless what is rare would dwarf the rest."""
    usual = [rate for rate in scene.past_rps if rate is not None]
    usual += [ahead.median_rps for ahead in scene.ahead] + [line.rps for line in scene.lines]
    rare = max((ahead.rare_rps for ahead in scene.ahead), default=0.0)
    most = max(usual, default=0.0)
    return _round_up(1.05 * (min(max(rare, most), _TALLEST * most) if most > 0.0 else rare))


def _round_up(value: float) -> float:
    """The next number that is easy to read off."""
    if value < _LEAST_RPS:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in _STEPS if step * power >= value), 10.0 * power)


def _span_s(scene: Scene) -> float:
    known_s = len(scene.past_rps) * scene.step_s
    return next((span for span in _SPANS_S if known_s <= span), max(_WHOLE_SPAN_S, known_s))


def _reach_s(scene: Scene) -> float:
    return max((ahead.horizon_s for ahead in scene.ahead), default=0.0)


def _label(rps: float) -> str:
    return f"{rps:.3g}" if rps < 1e5 else f"{rps:.2g}"


def _tick(plain: bool) -> str:  # noqa: FBT001 - private, and its name says it
    return "+" if plain else "\u2524"


def _bar(plain: bool) -> str:  # noqa: FBT001
    return "|" if plain else "\u2502"
