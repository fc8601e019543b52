"""Teaches the forecast what Prometheus remembers, model by model, while the planning goes on.

A model whose past is not known yet is planned as it is seen; its past is read and learned beside the loop, and the
loop takes the result over between two rounds. What cannot be read is tried again later and never waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from lull.adapters.past import read_past, told_apart
from lull.adapters.prometheus import Prometheus
from lull.errors import LullError
from lull.forecast.forecaster import Forecaster
from lull.memory import Memory
from lull.model.arrays import F64
from lull.model.spec import InferenceDeployment
from lull.settings import Settings

_LOG = logging.getLogger("lull.backfill")

SPAN_S: Final = 14.0 * 86_400.0
"""How far back it reads: two weeks, which is what the weekly season takes."""

_AT_A_TIME: Final = 200
"""Models that are learned together; it bounds the memory of what is not the fleet's yet."""

_RETRY_AFTER_S: Final = 300.0
_RETRY_FAILED_AFTER_S: Final = 30.0
_PIECE: Final = 200
"""Steps that are learned before the loop gets a turn."""


class Backfill:
    """Reads and learns the past of models that have none.

    Args:
        prometheus: where to read.
        memory: the loop's; only ``take_over`` writes to it, and only the loop may call that.
        settings: the operator's settings.
    """

    def __init__(self, prometheus: Prometheus, memory: Memory, settings: Settings) -> None:
        self._prometheus = prometheus
        self._memory = memory
        self._settings = settings
        self._due_s: dict[str, float] = {}
        self._done: set[str] = set()
        self._learned: list[tuple[Sequence[str], Forecaster]] = []

    async def run(self, models: Iterable[InferenceDeployment], now_s: float) -> int:
        """Reads and learns once for the models that lack a past; returns for how many there was one."""
        alive = {model.uid: model for model in models}
        self._done &= alive.keys()
        self._due_s = {uid: due_s for uid, due_s in self._due_s.items() if uid in alive}
        lacking = [model for uid, model in alive.items() if self._is_due(uid, now_s)]
        own_series = told_apart(alive.values())
        found = 0
        for start in range(0, len(lacking), _AT_A_TIME):
            found += await self._fill(lacking[start : start + _AT_A_TIME], own_series, now_s)
        return found

    def take_over(self) -> None:
        """Hands what was learned to the memory; for the loop, between two rounds."""
        waiting, self._learned = self._learned, []
        self._learned += [
            (uids, forecaster) for uids, forecaster in waiting if not self._memory.adopt(uids, forecaster)
        ]

    def _is_due(self, uid: str, now_s: float) -> bool:
        is_known = uid in self._memory.columns
        return is_known and uid not in self._done and now_s >= self._due_s.get(uid, -np.inf)

    async def _fill(self, models: Sequence[InferenceDeployment], own_series: set[str], now_s: float) -> int:
        step_s = self._settings.forecast_step_s
        # The step that runs now is the loop's.
        end_s = (now_s // step_s - 1) * step_s
        try:
            past, failures = await read_past(self._prometheus, models, own_series, end_s - SPAN_S, end_s, step_s)
        except LullError as error:
            past, failures = {}, [error]
        known = {uid: rates for uid, rates in past.items() if np.isfinite(rates).any()}
        if failures:
            told = {"error": str(failures[0]), "failures": len(failures), "models": len(models)}
            _LOG.warning("some of the past could not be read", extra=told)
            # A passing fault must not cost a model its past: what is known in part is taken the second time.
            known = {uid: rates for uid, rates in known.items() if uid in self._due_s}
        again_s = now_s + (_RETRY_FAILED_AFTER_S if failures else _RETRY_AFTER_S)
        self._due_s |= {model.uid: again_s for model in models}
        self._done |= known.keys()
        if known:
            learned = await self._learn(known, end_s)
            # Only now: the loop takes the list away between two rounds, and it took some rounds to learn.
            self._learned.append((list(known), learned))
            _LOG.info("learned the past", extra={"models": len(known)})
        return len(known)

    async def _learn(self, past: Mapping[str, F64], end_s: float) -> Forecaster:
        """Lives through the past in pieces, (T,) per model; each ends with the step that starts at ``end_s``."""
        step_s = self._settings.forecast_step_s
        rates_rps = np.stack(list(past.values()), axis=1)
        rates_rps = rates_rps[int(np.isfinite(rates_rps).any(axis=1).argmax()) :]
        forecaster = Forecaster(rates_rps.shape[1], step_s)
        first_s = end_s - (len(rates_rps) - 1) * step_s
        for start in range(0, len(rates_rps), _PIECE):
            piece = rates_rps[start : start + _PIECE]
            await asyncio.to_thread(_live_through, forecaster, piece, first_s + start * step_s)
        return forecaster


def _live_through(forecaster: Forecaster, rates_rps: F64, first_s: float) -> None:
    for i, rates in enumerate(rates_rps):
        forecaster.learn(rates, first_s + i * forecaster.step_s)
