"""What the run has shown so far: the last word of everyone, and how many replicas stood for how long.

Fed by `demo.watch`, read by the screen and the summary. Time is an argument; nothing here talks.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from demo.frame import Frame, Row, Seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demo.frame import Load, Model


class Record:
    """One run of the demo, from the first request to the last answer."""

    def __init__(self, models: Iterable[Model], run_s: float) -> None:
        self.models = {model.name: model for model in models}
        self.run_s = run_s
        self.loads: dict[str, list[Load]] = {name: [] for name in self.models}
        self.steps: dict[str, list[tuple[float, Seen]]] = {name: [] for name in self.models}

    def note_seen(self, name: str, seen: Seen, now_s: float) -> None:
        self.steps[name].append((now_s, seen))

    def note_load(self, name: str, load: Load) -> None:
        self.loads[name].append(load)

    def frame(self, now_s: float) -> Frame:
        return Frame(now_s, self.run_s, tuple(self._row(name) for name in self.models))

    def _row(self, name: str) -> Row:
        loads, steps = self.loads[name], self.steps[name]
        return Row(
            model=self.models[name],
            seen=steps[-1][1] if steps else Seen(),
            load=loads[-1] if loads else None,
            rates_rps=rates_of(loads),
        )

    def replica_seconds(self, name: str, end_s: float) -> float:
        """Pods times the seconds they stood; each look holds until the next one, the first from the start."""
        known = [(at_s, seen.pods) for at_s, seen in self.steps[name] if seen.pods is not None]
        edges_s = [0.0, *(at_s for at_s, _ in known[1:]), end_s]
        return sum(
            pods * max(0.0, min(until_s, end_s) - from_s)
            for (_, pods), from_s, until_s in zip(known, edges_s, edges_s[1:], strict=False)
        )

    def peak_replicas(self, name: str) -> int:
        """The most replicas Lull ever wanted: what a fleet of fixed size would have to hold all along."""
        return max((seen.desired or 0 for _, seen in self.steps[name]), default=0)

    def asleep_share(self, name: str) -> float:
        """Part of the looks at which it was asleep and nobody waited."""
        looks = [seen.is_asleep and not seen.waiting for _, seen in self.steps[name]]
        return sum(looks) / len(looks) if looks else 0.0

    def reasons(self, name: str) -> Counter[str]:
        """How often each reason became the one in force."""
        words = [seen.reason for _, seen in self.steps[name] if seen.reason]
        return Counter(word for before, word in zip(["", *words], words, strict=False) if word != before)


def rates_of(loads: list[Load]) -> tuple[float, ...]:
    """Requests sent per second between one line and the next, the first counted from zero."""
    rates: list[float] = []
    before_s, before_sent = 0.0, 0
    for load in loads:
        length_s = load.t_s - before_s
        if length_s > 0.0:
            rates.append((load.sent - before_sent) / length_s)
        before_s, before_sent = load.t_s, load.sent
    return tuple(rates)
