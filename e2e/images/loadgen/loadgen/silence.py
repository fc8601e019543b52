"""How long the first answer after a silence takes. Pure: time is an argument."""

from __future__ import annotations

import math
from bisect import bisect_right


class Silences:
    """The ends of one target's silences, and when the first answer came after each.

    A silence is `silence_s` or more without a request; the beginning of the run ends one, too. An answer counts for the
    silence that ended last before its request was sent, however late it comes.
    """

    def __init__(self, silence_s: float) -> None:
        self.silence_s = silence_s
        self.waits_s: list[float] = []
        """From the request that ended a silence to the first answer; infinite while there is none."""
        self._ended_s: list[float] = []
        self._last_sent_s = -math.inf

    def note_sent(self, now_s: float) -> None:
        if now_s - self._last_sent_s >= self.silence_s:
            self._ended_s.append(now_s)
            self.waits_s.append(math.inf)
        self._last_sent_s = now_s

    def note_answered(self, sent_s: float, now_s: float) -> None:
        index = bisect_right(self._ended_s, sent_s) - 1
        if index >= 0:
            self.waits_s[index] = min(self.waits_s[index], now_s - self._ended_s[index])
