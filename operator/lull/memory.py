"""What the planner knows of the past: what happened lately, and what was learned from it.

The loop is the only writer, once after each round; the planner reads. All of it grows anew after a restart, from
Prometheus' history where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from lull.decide.accounts import Accounts
from lull.decide.prices import Prices, Took
from lull.forecast.capacity import Capacities
from lull.forecast.forecaster import Forecaster
from lull.forecast.rests import Rests
from lull.forecast.starts import StartTimes
from lull.forecast.wants import Wants
from lull.model.arrays import F64, I64, Bools
from lull.model.columns import Columns, place, widen
from lull.model.costs import Lesson
from lull.model.doze import Rung
from lull.model.history import History
from lull.model.learned import Learned
from lull.model.spending import BudgetPrices
from lull.model.start import Start, Startup

_GATHERED: Final = ("_sum", "_count", "_held", "_held_ever", "_pile")
"""Arrays over models that are no part's."""


class Memory:
    """History, forecast, start-up times, accounts, prices and capacities of the fleet.

    Args:
        history: what happened lately, with columns of its own.
        step_s: seconds per step of the forecast.
        cold_start_s: seconds that a start is taken to need before any were seen.
    """

    def __init__(self, history: History, step_s: float, *, cold_start_s: float = 60.0) -> None:
        self.history = history
        self.columns = Columns()
        self.forecaster = Forecaster(0, step_s)
        self.accounts = Accounts(0)
        self.prices = Prices(0)
        self.capacities = Capacities(0)
        self.learned = Learned.nothing()
        self.rests = Rests(0)
        self.wants = Wants(0)
        self.budget_prices: Mapping[str, BudgetPrices] = {}
        self.starts = StartTimes(0, prior_s=cold_start_s)
        self._unseen = StartTimes(1, prior_s=cold_start_s)
        self._step_s = step_s
        self._step: int | None = None
        self._sum: F64 = np.zeros(0)
        self._count: F64 = np.zeros(0)
        self._held: F64 = np.zeros(0)
        self._held_ever: F64 = np.zeros(0)
        self._pile: F64 = np.zeros(0)
        self._last_s: float | None = None

    def find(self, uids: Sequence[str]) -> I64:
        """Columns of the models, (N,); -1 = nothing was learned of it yet."""
        return self.columns.find(uids)

    def since_s(self, now_s: float) -> float:
        """Seconds since the end of the last step that the forecast has learned; 0 where it has learned none."""
        index = self.forecaster.index
        return 0.0 if index is None else max(0.0, now_s - (index + 1) * self._step_s)

    def held_ever(self, at: I64) -> F64:
        """Requests that had begun to wait for a wake by the last round, (N,); NaN = there was none (-1)."""
        return np.append(self._held_ever, np.nan)[at]

    def pile(self, at: I64) -> F64:
        """Requests that waited for a wake by the last round, and that servers may yet count as new, (N,)."""
        return np.append(self._pile, 0.0)[at]

    def learn(self, seen: Lesson, now_s: float) -> None:
        """Takes one round in; forgets models that are no longer in the fleet."""
        self.learned = seen.learned.beside(self.learned.of([uid for uid in self.learned.uids if uid in seen.unseen]))
        gone = set(self.columns.uids).difference(seen.uids, seen.unseen)
        self._forget(self.columns.free(gone))
        known = np.flatnonzero(self.columns.find(seen.uids) >= 0)
        at = self.columns.claim(seen.uids)
        self._widen(self.columns.width)
        if self._last_s is not None and now_s > self._last_s:
            # Who is new was not there in the time that is booked.
            self._book(seen, known, at[known], now_s, now_s - self._last_s)
        self._last_s = now_s
        if seen.budget_prices is not None:
            self.budget_prices = seen.budget_prices
        self.capacities.learn(at, seen.window, now_s)
        self._gather(seen, at, now_s)

    def learn_starts(
        self, starts: Sequence[Start], groups: Mapping[str, int], written: Mapping[str, str] | None = None
    ) -> None:
        """Takes in starts; those of models of which nothing else was learned yet are left out.

        Args:
            starts: in the order they were done.
            groups: by the uid of each model, a number from 0 that those have in common which start alike.
            written: what an earlier memory had learned of models, by uid; it counts where no start was seen yet, and
                with it those that are told of now, which it holds already.
        """
        uids = [uid for uid in groups if uid in self.columns]
        at = self.columns.find(uids)
        wanted = np.array([groups[uid] for uid in uids], dtype=np.int64)
        if not np.array_equal(self.starts.group[at], wanted):
            self.starts.assign(at, wanted)
        column = dict(zip(uids, at.tolist(), strict=True)) if starts or written else {}
        recalled = {
            uid
            for uid, text in (written or {}).items()
            if uid in column and not self.starts.known[column[uid]] and self.starts.recall(column[uid], text)
        }
        self.starts.learn([start for start in starts if start.model_uid not in recalled], column)

    def knows_start(self, at: I64) -> Bools:
        """Whether a start of the models in those columns was seen, (N,)."""
        return np.append(self.starts.known, False)[at]

    def startups(self, at: I64) -> list[Startup | None]:
        """What is known of how long the models in those columns take to start; None = no start was seen."""
        p50_s, p95_s = (self.start_s(at, quantile).tolist() for quantile in (0.5, 0.95))
        rows = zip(self.knows_start(at).tolist(), at.tolist(), p50_s, p95_s, strict=True)
        return [
            Startup(half, nearly, self.starts.written(column)) if known else None
            for known, column, half, nearly in rows
        ]

    def learn_rests(self, wakes: Sequence[tuple[str, Rung, float]], powers: Sequence[tuple[str, Rung, float]]) -> None:
        """Takes in wakes, in seconds, and what idle replicas drew, in watts, by uid and rung."""
        there = {uid: int(self.columns.find([uid])[0]) for uid, _, _ in (*wakes, *powers) if uid in self.columns}
        self.rests.learn_wakes([(there[uid], level, took_s) for uid, level, took_s in wakes if uid in there])
        for uid, rung, power_w in powers:
            if uid in there:
                self.rests.learn_power(there[uid], rung, power_w)

    def quiet_s(self, uid: str, now_s: float) -> float:
        """Seconds since anything was wanted of a model, as far back as is known; 0 of one of which nothing is."""
        if uid not in self.columns:
            return 0.0
        gap_s = float(self.accounts.gap_s[0, self.columns.find([uid])[0]])
        return min(gap_s, now_s - float(self.history.known_since_s([uid], now_s)[0]))

    def expected_start_s(self, at: I64) -> F64:
        """Mean seconds of a start of the models in those columns, (N,); -1 = one of which nothing is known."""
        return np.append(self.starts.expected_s, self._unseen.expected_s)[at]

    def start_s(self, at: I64, quantile: float) -> F64:
        """Seconds within which a start is done in that share of cases, (N,), for columns as above."""
        return np.append(self.starts.lead_s(quantile), self._unseen.lead_s(quantile))[at]

    def adopt(self, uids: Sequence[str], learned: Forecaster) -> bool:
        """Takes over what was learned of the past of models, in the order of ``learned``'s series.

        What happened since is told to it first; models that have gone meanwhile are left out. Returns whether it was
        done: what reaches further than the memory itself must wait, or a step would be learned twice.
        """
        if self.forecaster.index is not None and (learned.index or 0) > self.forecaster.index:
            return False
        at = self.columns.find(uids)
        there = np.flatnonzero(at >= 0)
        if not len(there):
            return True
        if self.forecaster.index is not None and learned.index is not None:
            for index in range(learned.index + 1, self.forecaster.index + 1):
                rates_rps = np.full(len(uids), np.nan)
                rates_rps[there] = self.forecaster.past(at[there], index)
                learned.learn(rates_rps, index * self._step_s)
        self.forecaster.place(at[there], learned.only(there))
        return True

    def _gather(self, seen: Lesson, at: I64, now_s: float) -> None:
        """Gathers arrivals until a step of the forecast is full."""
        step = int(now_s // self._step_s)
        if self._step is not None and step > self._step:
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.where(self._count > 0, self._sum / self._count, np.where(self._held > 0, 0.0, np.nan))
            self.forecaster.learn(mean + self._held / self._step_s, self._step * self._step_s)
            for gathered in (self._sum, self._count, self._held):
                gathered[:] = 0.0
        self._step = step if self._step is None else max(step, self._step)
        known = ~np.isnan(seen.arrivals_rps)
        self._sum[at[known]] += seen.arrivals_rps[known]
        self._count[at[known]] += 1.0
        # No server has counted them by now, and one that starts with them never will as a rate.
        self._held[at] += seen.held
        self._held_ever[at] = seen.held_ever
        self._pile[at] = seen.pile

    def _book(self, seen: Lesson, rows: I64, at: I64, now_s: float, for_s: float) -> None:
        self.accounts.learn(at, seen.need[rows], seen.replicas[rows], seen.costs.of(rows), for_s, for_s)
        cold_rps = seen.held[rows] / for_s
        is_known = ~np.isnan(seen.arrivals_rps[rows]) | (cold_rps > 0.0)
        is_withheld = np.zeros(len(rows), dtype=bool) if seen.is_withheld is None else seen.is_withheld[rows]
        took = Took(
            arrivals_rps=np.where(is_known, np.nan_to_num(seen.arrivals_rps[rows]) + cold_rps, np.nan),
            missed_rps=np.where(is_known & ~is_withheld, np.nan_to_num(seen.missed_rps[rows]), np.nan),
            cold_rps=cold_rps,
            allowed_ratio=seen.allowed_ratio[rows],
            cold_ratio=seen.cold_ratio[rows],
        )
        self.prices.learn(at, took, for_s)
        if seen.wanted_w is not None:
            self.wants.learn(at, seen.wanted_w[rows], now_s, for_s)

    def _widen(self, width: int) -> None:
        lacking = width - len(self._sum)
        if lacking <= 0:
            return
        self.forecaster.widen(width)
        widen(self.accounts, Accounts(lacking))
        widen(self.prices, Prices(lacking))
        self.starts.resize(width)
        self.rests.resize(width)
        self.wants.resize(width)
        self.capacities.resize(width)
        for name in _GATHERED:
            setattr(self, name, np.append(getattr(self, name), np.zeros(lacking)))

    def _forget(self, at: I64) -> None:
        if not len(at):
            return
        self.forecaster.forget(at)
        place(self.accounts, at, Accounts(1))
        place(self.prices, at, Prices(1))
        self.starts.forget(at)
        self.rests.forget(at)
        self.wants.forget(at)
        self.capacities.forget(at)
        for name in _GATHERED:
            getattr(self, name)[at] = 0.0
