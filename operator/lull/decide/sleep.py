"""Whether a replica that is not needed stays, and whether one that is not there is started ahead of the need.

Both are one question with a price. Holding costs the idle power of the time until the need comes; letting go costs a
start, and the requests that then wait for it. Costs are in seconds of idle power of a replica, so that power itself
drops out: a start costs its own time and energy, a missed request its price (``miss_price_s``), which dual ascent finds
(``prices``). What is known about the need is the chance that it comes within each horizon.

With chances ``p_h`` of a need within ``h``, holding until it comes or until ``h`` costs ``c_h``, the integral of
``1 - p`` up to ``h``. It pays if for some horizon ``c_h < p_h * worth``, ``worth`` being what is saved if it comes.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64, I64, Bools, running_sum

_LATE_FACTOR: Final = 2.0
"""Starts' times for which requests are late: one until it is there, about one until the queue is gone."""


def holding_s(chance: F64, horizons_s: F64) -> F64:
    """Expected seconds until the need comes or the horizon ends, (H, L).

    Args:
        chance: that the need comes within each horizon, (H, L), not falling with it.
        horizons_s: increasing, (H,).
    """
    before = np.concatenate([np.zeros((1, chance.shape[1])), chance[:-1]])
    width = np.diff(horizons_s, prepend=0.0)[:, None]
    return running_sum((1.0 - (before + chance) / 2.0) * width)


def pays_to_keep(chance: F64, held_s: F64, worth_s: F64) -> Bools:
    """Whether holding on is cheaper than letting go, (L,).

    Args:
        chance: that the need comes within each horizon, (H, L).
        held_s: what holding until then costs, by ``holding_s``, (H, L).
        worth_s: cost of a start and of what is missed meanwhile, (L,).
    """
    return np.asarray((chance * worth_s > held_s).any(axis=0))


def pays_to_start(chance: F64, held_s: F64, lead: I64, miss_s: F64, start_s: F64) -> Bools:
    """Whether starting now is cheaper than waiting for the need, (L,).

    A start that comes to be needed is none too many; only one that was in vain is lost. What can still be started in
    time later is left for later: only the chance of a need before a later start would be ready counts.

    Args:
        chance: that the need comes within each horizon, (H, L).
        held_s: what holding until then costs, by ``holding_s``, (H, L).
        lead: row of the horizon within which a start becomes ready, (L,).
        miss_s: cost of what is missed if the need finds nothing there, (L,).
        start_s: cost of a start, (L,).
    """
    at = (lead, np.arange(chance.shape[1]))
    is_cheaper: Bools = chance[at] * miss_s > (1.0 - chance[-1]) * start_s + held_s[at]
    return is_cheaper


def missed_requests(limit_rps: F64, start_s: F64, *, notice_s: float) -> F64:
    """Requests that a layer has on its account when it is needed and not there, (L,).

    All that arrive miss, not only those beyond what there is, for they share one queue: until the layer has started,
    and again until the queue is worked off. A rise that takes several layers at once is the fault of all of them, so
    each answers for what it would have carried; were each to answer for all that arrives, a peak of a hundred replicas
    would be paid for a hundred times.

    Args:
        limit_rps: what one replica carries, (L,).
        start_s: seconds of a start, (L,).
        notice_s: seconds until the need is noticed.
    """
    return limit_rps * (_LATE_FACTOR * start_s + notice_s)
