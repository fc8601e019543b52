"""Dots and marks on a grid of characters, each with an ink. Called by ``chart``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final


class Ink(IntEnum):
    """What a character stands for; where two meet, the greater covers the other."""

    PAPER = 0
    RARE = 1
    LIKELY = 2
    AXIS = 3
    UNKNOWN = 4
    HAVE = 5
    WANT = 6
    MEDIAN = 7
    PAST = 8


Run = tuple[str, Ink]
"""Characters of one ink."""

_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character, from its upper left dot."""
ACROSS: Final = 2
"""Dots of a character from left to right ..."""
DOWN: Final = 4
"""... and from top to bottom."""

_PLAIN: Final = {
    Ink.PAPER: " ",
    Ink.RARE: ".",
    Ink.LIKELY: ":",
    Ink.UNKNOWN: "?",
    Ink.HAVE: "-",
    Ink.WANT: "=",
    Ink.MEDIAN: "+",
    Ink.PAST: "*",
    Ink.AXIS: "|",
}
_DRAWN: Final = {Ink.UNKNOWN: "?", Ink.HAVE: "\u2500", Ink.WANT: "\u254c", Ink.AXIS: "\u250a"}


@dataclass(slots=True)
class Canvas:
    """A picture of rates over time, now somewhere within it."""

    columns: int
    rows: int
    top: float
    """Rate at the upper edge; the lower one is 0."""
    span_s: float
    """Seconds from the left edge to now."""
    reach_s: float
    """Seconds from now to the right edge."""
    dots: dict[tuple[int, int, Ink], int] = field(default_factory=dict)
    """Bits of each character by row, column and ink."""
    inks: dict[tuple[int, int], Ink] = field(default_factory=dict)
    """The ink that covers the others, by row and column."""

    @property
    def across(self) -> int:
        """Dots from left to right."""
        return self.columns * ACROSS

    def x(self, at_s: float) -> int:
        """Dot column of a time from now."""
        return min(self.across - 1, int((at_s + self.span_s) / (self.span_s + self.reach_s) * self.across))

    def at_s(self, x: int) -> float:
        """Time from now of the middle of a dot column."""
        return (x + 0.5) / self.across * (self.span_s + self.reach_s) - self.span_s

    def y(self, rps: float) -> int:
        """Dot row of a rate, from the top; what is above the chart lies on its edge."""
        most = self.rows * DOWN - 1
        return most - round(min(max(rps / self.top, 0.0), 1.0) * most)

    def dot(self, x: int, y: int, ink: Ink) -> None:
        """Sets one dot."""
        cell = (y // DOWN, x // ACROSS)
        self.dots[*cell, ink] = self.dots.get((*cell, ink), 0) | _DOTS[y % DOWN][x % ACROSS]
        self.inks[cell] = max(ink, self.inks.get(cell, Ink.PAPER))

    def mark(self, row: int, column: int, ink: Ink) -> None:
        """Gives a whole character an ink that is drawn without dots."""
        self.inks[row, column] = max(ink, self.inks.get((row, column), Ink.PAPER))

    def runs(self, row: int, *, plain: bool) -> list[Run]:
        """One row of the picture."""
        found: list[Run] = []
        for column in range(self.columns):
            ink = self.inks.get((row, column), Ink.PAPER)
            text = self._glyph(row, column, ink, plain=plain)
            if found and found[-1][1] is ink:
                found[-1] = (found[-1][0] + text, ink)
            else:
                found.append((text, ink))
        return found

    def _glyph(self, row: int, column: int, ink: Ink, *, plain: bool) -> str:
        if plain or ink is Ink.PAPER:
            return _PLAIN[ink]
        return _DRAWN[ink] if ink in _DRAWN else chr(0x2800 + self.dots[row, column, ink])
