"""What the run has seen so far, as numbers to print. Pure: time is an argument."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from loadgen.outcome import LOSSES, Fate, Outcome
from loadgen.silence import Silences

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RECENT_S = 10.0
SAMPLES_OF_A_KIND = 5
BOUNDS_S = (0.1, 0.2, 0.4, 0.8, 1.0, 2.0, 5.0, 10.0)
"""Latencies up to which answers are counted: a quantile does not tell how many were late."""


class Tally:
    """The count of one target."""

    def __init__(self, name: str, silence_s: float) -> None:
        self.name = name
        self.silences = Silences(silence_s)
        self.sent = 0
        self.fates: Counter[Fate] = Counter()
        self.latencies_s: list[float] = []
        self.held_s: list[float] = []
        """Latencies of requests that waited for a sleeping model: counted apart, as they are by its objectives."""
        self.lags_s: list[float] = []
        self.samples: list[dict[str, Any]] = []
        self._recent: deque[tuple[float, float]] = deque()

    @property
    def answered(self) -> int:
        return self.fates[Fate.ANSWERED]

    @property
    def lost(self) -> int:
        return sum(self.fates[fate] for fate in LOSSES)

    @property
    def in_flight(self) -> int:
        return self.sent - self.answered - self.lost

    def note_sent(self, now_s: float, lag_s: float) -> None:
        self.sent += 1
        self.silences.note_sent(now_s)
        self.lags_s.append(max(0.0, lag_s))

    def note_outcome(self, outcome: Outcome, now_s: float) -> None:
        self.fates[outcome.fate] += 1
        if outcome.fate is Fate.ANSWERED:
            self.silences.note_answered(now_s - outcome.latency_s, now_s)
            (self.latencies_s if outcome.held_s is None else self.held_s).append(outcome.latency_s)
            if outcome.held_s is None:
                self._recent.append((now_s, outcome.latency_s))
        elif self.fates[outcome.fate] <= SAMPLES_OF_A_KIND:
            self.samples.append(_sample(outcome, now_s))

    def line(self, now_s: float) -> dict[str, Any]:
        """The target's state at `now_s`; counts are since the start, latencies of the last ten seconds."""
        while self._recent and self._recent[0][0] < now_s - RECENT_S:
            self._recent.popleft()
        recent_s = sorted(latency_s for _, latency_s in self._recent)
        return {
            "t_s": round(now_s, 1),
            "target": self.name,
            "sent": self.sent,
            "answered": self.answered,
            "lost": self.lost,
            "in_flight": self.in_flight,
            "p50_s": _quantile(recent_s, 0.50),
            "p95_s": _quantile(recent_s, 0.95),
        }


def summary(tallies: Sequence[Tally], *, run_s: float, ended_early: bool, cpu_s: float) -> dict[str, Any]:
    """The last line of a run: each target, and all of them as if they were one."""
    return {
        "run_s": round(run_s, 1),
        "ended_early": ended_early,
        "cpu_s": round(cpu_s, 2),
        "total": _report(tallies),
        "targets": {tally.name: _report([tally]) for tally in tallies},
    }


def _report(tallies: Sequence[Tally]) -> dict[str, Any]:
    latencies_s = sorted(latency_s for tally in tallies for latency_s in tally.latencies_s)
    held_s = sorted(latency_s for tally in tallies for latency_s in tally.held_s)
    every_s = sorted([*latencies_s, *held_s])
    lags_s = sorted(lag_s for tally in tallies for lag_s in tally.lags_s)
    by_fate = sum((tally.fates for tally in tallies), Counter[Fate]())
    return {
        "requests": sum(tally.sent for tally in tallies),
        "answered": sum(tally.answered for tally in tallies),
        "lost": sum(tally.lost for tally in tallies),
        # Only a run that was ended early leaves any: they are neither answered nor the servers' fault.
        "unfinished": sum(tally.in_flight for tally in tallies),
        "lost_by_kind": {fate.value: by_fate[fate] for fate in LOSSES if by_fate[fate]},
        "answered_within": {f"{bound_s:g}": bisect_right(every_s, bound_s) for bound_s in BOUNDS_S},
        "p50_s": _quantile(latencies_s, 0.50),
        "p95_s": _quantile(latencies_s, 0.95),
        "p99_s": _quantile(latencies_s, 0.99),
        "max_s": _quantile(every_s, 1.0),
        "held": {
            "requests": len(held_s),
            "p50_s": _quantile(held_s, 0.50),
            "p95_s": _quantile(held_s, 0.95),
            "max_s": _quantile(held_s, 1.0),
        },
        "after_silence": _first_answers(tallies),
        "lag_p99_s": _quantile(lags_s, 0.99),
        "samples": _earliest(sample for tally in tallies for sample in tally.samples),
    }


def _first_answers(tallies: Sequence[Tally]) -> dict[str, Any]:
    """Seconds from the request that ended a silence to the first answer; null where it never came."""
    waits_s = sorted(wait_s for tally in tallies for wait_s in tally.silences.waits_s)
    return {
        "silences": len(waits_s),
        "unanswered": waits_s.count(math.inf),
        "p50_s": _finite(_quantile(waits_s, 0.50)),
        "p95_s": _finite(_quantile(waits_s, 0.95)),
        "max_s": _finite(_quantile(waits_s, 1.0)),
    }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return None if value == math.inf else value


def exposition(tallies: Iterable[Tally]) -> str:
    """What was sent so far, in Prometheus' text format: those whom nobody answers have nobody else who counts them."""
    name = "loadgen_requests_sent_total"
    return f"# TYPE {name} counter\n" + "".join(
        f"{name}{{target={json.dumps(tally.name)}}} {tally.sent}\n" for tally in tallies
    )


def _earliest(samples: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first few of each kind: the many of one kind must not hide the few of another."""
    found: list[dict[str, Any]] = []
    seen: Counter[str] = Counter()
    for sample in sorted(samples, key=lambda sample: float(sample["t_s"])):
        seen[sample["kind"]] += 1
        if seen[sample["kind"]] <= SAMPLES_OF_A_KIND:
            found.append(sample)
    return found


def _sample(outcome: Outcome, now_s: float) -> dict[str, Any]:
    return {
        "t_s": round(now_s, 1),
        "kind": outcome.fate.value,
        "after_s": round(outcome.latency_s, 3),
        "detail": outcome.detail[:200],
    }


def _quantile(sorted_s: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of all values do not exceed; none of nothing."""
    if not sorted_s:
        return None
    rank = max(0, math.ceil(share * len(sorted_s)) - 1)
    return round(sorted_s[rank], 4)
