"""Small pieces of SVG as text: scales, ticks and shapes. Colours are CSS classes, so a page can be light and dark.

Pure. Called by the plots of ``replay.page``. Whatever comes from a trace is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places on the page; values beyond the ends are put there."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        bent: Callable[[float], float] = math.log if self.is_log else lambda x: x
        inside = min(max(value, self.low), self.high)
        if self.high <= self.low:
            return self.start
        part = (bent(inside) - bent(self.low)) / (bent(self.high) - bent(self.low))
        return self.start + part * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values to be written at the axis."""
        return _log_ticks(self.low, self.high) if self.is_log else _even_ticks(self.low, self.high)


_LOG_SETS: Final = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
_ENOUGH: Final = 5


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in _LOG_SETS:
        found = [step * 10.0**decade for decade in decades for step in steps]
        found = [tick for tick in found if low * (1.0 - 1e-9) <= tick <= high * (1.0 + 1e-9)]
        if len(found) >= _ENOUGH:
            break
    return found


def _even_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _ENOUGH
    if rough <= 0.0:
        return [low]
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1.0, 2.0, 5.0, 10.0) if size * times >= rough * (1.0 - 1e-9))
    return [step * place for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def svg(width: float, height: float, label: str, parts: Iterable[str]) -> str:
    """A picture that grows with the page."""
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def box(x: float, y: float, width: float, height: float, kind: str, told: str = "") -> str:
    """A rectangle, with words for who points at it."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.0):.1f}" height="{height:.1f}"'
    return f'<rect {place} class="{kind}">{_title(told)}</rect>'


def polyline(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Straight from point to point."""
    return f'<path d="{path(points)}" class="{kind}"/>' if points else ""


def path(points: Sequence[tuple[float, float]]) -> str:
    """The same as a path's data."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def stairs(values: Sequence[float], across: Scale, up: Scale) -> list[tuple[float, float]]:
    """Corners of a line that holds each value for its bin; bins of the same value are one step."""
    corners: list[tuple[float, float]] = []
    for place, value in enumerate(values):
        if not place or value != values[place - 1]:
            left = across(float(place))
            corners += [(left, corners[-1][1] if corners else up(value)), (left, up(value))]
    if corners:
        corners.append((across(float(len(values))), corners[-1][1]))
    return corners


_MARKS: Final[tuple[str, ...]] = (
    "M-5 -5H5V5H-5Z",
    "M0 -6.5L6 5H-6Z",
    "M0 -6.5L6.5 0L0 6.5L-6.5 0Z",
    "M0 6.5L6 -5H-6Z",
    "M-2 -6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    "M0 -6.5L6.2 -2L3.8 5.3H-3.8L-6.2 -2Z",
    "M-5.5 -3.5L0 -6.5L5.5 -3.5V3.5L0 6.5L-5.5 3.5Z",
    "M-6 -2.2H6V2.2H-6Z",
    "M-2.2 -6H2.2V6H-2.2Z",
    "M-6 -6L0 -2.4L6 -6L2.4 0L6 6L0 2.4L-6 6L-2.4 0Z",
)
_CIRCLE: Final = "M-6 0A6 6 0 1 1 6 0A6 6 0 1 1 -6 0Z"


def mark(x: float, y: float, shape: int, kind: str, told: str = "", size: float = 1.0) -> str:
    """A sign of one of eleven shapes, 0 the circle; they are told apart without colours."""
    data = _CIRCLE if shape == 0 else _MARKS[(shape - 1) % len(_MARKS)]
    place = f'transform="translate({x:.1f} {y:.1f}) scale({size:g})"'
    return f'<path d="{data}" {place} class="{kind}">{_title(told)}</path>'


def _title(told: str) -> str:
    return f"<title>{escape(told)}</title>" if told else ""
