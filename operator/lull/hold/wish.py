"""Since when a sleeping model is wished for: how much of its start is over, and who was told to come later."""

from __future__ import annotations

from typing import Final

WISH_S: Final = 30.0
"""How long a request that was turned away counts as wanting the model: as long as a report of demand lasts."""


class Wish:
    """Requests that met no ready pod, from the first one on; a new one begins once a pod was ready."""

    __slots__ = ("_last_s", "_since_s", "_turned_s")

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._last_s = 0.0
        self._turned_s: float | None = None

    def made(self, now_s: float, lasts_s: float, held: int) -> None:
        """Somebody asks; a wish that nobody renewed for ``lasts_s``, and that nobody waits for, has lapsed before."""
        if self._since_s is None or (not held and now_s - self._last_s >= lasts_s):
            self._since_s = now_s
        self._last_s = now_s

    def turned(self, now_s: float) -> None:
        """Somebody was told to come later."""
        self._turned_s = now_s

    def turned_since_s(self, now_s: float) -> float | None:
        """When the wish began, if somebody was told to come later less than ``WISH_S`` ago."""
        if self._turned_s is None or now_s - self._turned_s >= WISH_S:
            return None
        return self._since_s

    def start_left_s(self, start_s: float | None, now_s: float) -> float | None:
        """What is left of a start that began with the wish; 0 when overdue, None when its length is not known."""
        if start_s is None or self._since_s is None:
            return start_s
        return max(start_s - (now_s - self._since_s), 0.0)
