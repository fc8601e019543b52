"""Servers that generate token by token for many requests at once: what one may be given.

With b requests running on average, tokens of each come ``ITL(b) = fixed + each * b`` seconds apart, so a request stays
``S(b) = prefill + generated * ITL(b)`` seconds and, by Little's law, ``b = rps * S(b)``: the more run, the more are
done, and the slower each of them. Several things bound the rate, and the least of them counts:

* the pace: the time between tokens that an objective allows. The number running at a moment varies, and its quantile
  and not its mean must keep the pace. Under Poisson arrivals it is negative binomial, whatever the lengths of answers
  (a birth-death process with the rates above), and tokens see more of it than clocks do, for more of them are made
  while many run: on average ``b * (1 + k)`` others, of variance ``b * (1 + k) * (1 + k * b)``, ``k = each / fixed``;
* the slots: the batch the server takes, or the requests whose tokens its KV cache holds. A request that finds them
  all in use waits (Erlang C, all slots as slow as they are when full), and an objective bounds that wait;
* the prefill: prompts are worked on one after another, a queue with one server. It can be full while b is small.

``prefill = 0`` and no bound gives ``b = rps * generated * fixed / (1 - rps * generated * each)``. Called by ``sizing``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from lull.decide.erlang import UNREACHABLE_UTILISATION, UTILISATION_CAP, slot_limit, utilisation_limit
from lull.decide.objectives import Objectives
from lull.model.arrays import F64, I64, Bools

NEAR_IDLE: Final = 0.2
"""Where a threshold leaves less than this share above what a single request takes, the objective gives way step by
step: a measured pace that wavers around the threshold must not make the fleet swing between two sizes."""

_NEGLIGIBLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Decoding:
    """What is known of each model's servers, (N,); NaN = unknown."""

    fixed_s: F64
    """Seconds between two tokens of a request that runs alone."""
    each_s: F64
    """Further seconds between tokens for each other request that runs."""
    generated: F64
    """Mean tokens of an answer."""
    prompt: F64
    """Mean tokens of a prompt."""
    prefill_s: F64
    """Mean seconds of work before the first token; where unknown the law goes without it."""
    kv_tokens: F64
    """Tokens that one replica's KV cache holds; where unknown it bounds nothing."""
    max_running: F64
    """Most requests one replica may run at once; where unknown it bounds nothing."""
    pace_tail: F64
    """Time between tokens at an objective's percentile over its mean, as measured; where unknown only the number
    running is taken to vary."""
    answer_tail: F64
    """The same of the time to a whole answer; where unknown answers are taken to be equally long."""

    @property
    def slots(self) -> F64:
        """Requests that one replica has room for, (N,); NaN where neither bound is known."""
        return np.fmin(self.max_running, self.kv_tokens / (self.prompt + self.generated))

    @property
    def is_known(self) -> Bools:
        """Where the law can be used."""
        return np.isfinite(self.slots * self.generated * (self.fixed_s + self.each_s)) & (self.fixed_s > 0.0)

    def at(self, rows: I64) -> Decoding:
        """The models of these indices, in this order."""
        return Decoding(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def stay_s(self, running: F64) -> F64:
        """Seconds that a request stays while so many run, (N,)."""
        return np.nan_to_num(self.prefill_s) + self.generated * (self.fixed_s + self.each_s * running)

    def rps(self, running: F64) -> F64:
        """Requests per second at which so many run on average (Little's law), (N,)."""
        return running / self.stay_s(running)

    def running(self, rps: F64) -> F64:
        """Requests that run on average at a rate, (N,); infinite at or above what any number of them can do."""
        load = rps * self.generated * self.each_s
        alone = rps * (np.nan_to_num(self.prefill_s) + self.generated * self.fixed_s)
        return np.where(load < 1.0, alone / np.where(load < 1.0, 1.0 - load, np.nan), np.inf)


def token_limit(of: Decoding, asked: Objectives, peakedness: F64 | float = 1.0) -> F64:
    """Requests per second at which one replica still meets the objective, (N,).

    Args:
        of: the servers, one for each objective, all of them known.
        asked: the objectives, (N,).
        peakedness: of the arrivals, (N,) or one for all; 1 = Poisson.
    """
    rest_s = asked.threshold_s - np.nan_to_num(of.prefill_s)
    running = paced(of, *_pace(of, asked))
    stay_s = of.stay_s(running)
    wait_s = np.select([asked.is_inter_token, asked.is_first_token], [np.inf, rest_s], asked.threshold_s - stay_s)
    prompts = slot_limit(np.ones_like(rest_s), of.prefill_s, rest_s, asked.miss_ratio, peakedness)
    prompts = np.where(asked.is_first_token, prompts, UTILISATION_CAP / of.prefill_s)
    found = np.minimum(of.rps(running), slotted(of, wait_s, asked.miss_ratio, peakedness))
    return np.fmin(found, prompts)


def is_hopeless(of: Decoding, asked: Objectives) -> Bools:
    """Where a request that runs alone is too slow already, (N,)."""
    alone_s = np.select(
        [asked.is_inter_token, asked.is_first_token],
        [of.fixed_s, np.nan_to_num(of.prefill_s)],
        of.stay_s(np.zeros_like(of.fixed_s)),
    )
    return alone_s >= asked.threshold_s


def paced(of: Decoding, pace_s: F64, deviations: F64) -> F64:
    """Most requests that may run on average so that tokens come within the pace, (N,).

    Args:
        of: the servers.
        pace_s: most seconds between tokens, (N,); infinite = any.
        deviations: standard deviations above the mean at which the pace must still hold, (N,); NaN where the mean of
            what was measured shall keep it.
    """
    kept_s = np.maximum(pace_s, (1.0 + NEAR_IDLE) * of.fixed_s)
    is_bound = np.isfinite(kept_s) & (of.each_s > _NEGLIGIBLE * of.fixed_s)
    room = np.where(is_bound, kept_s - of.fixed_s, 0.0) / np.where(is_bound, of.each_s, 1.0)
    bunching = np.where(np.isnan(deviations), 0.0, np.minimum(of.each_s / of.fixed_s, 1.0))
    deviations = np.nan_to_num(deviations)
    kept = _within(room, deviations, bunching)
    kept = _within(room, _skewed(deviations, kept, bunching), bunching)
    kept = np.minimum(np.where(is_bound, kept, np.inf), of.slots)
    given_up = np.clip(1.0 - (pace_s - of.fixed_s) / (NEAR_IDLE * of.fixed_s), 0.0, 1.0)
    return kept ** (1.0 - given_up) * (UNREACHABLE_UTILISATION * of.slots) ** given_up


def _within(room: F64, deviations: F64, bunching: F64) -> F64:
    """Mean number running, b, at which tokens see few more others than there is room for, (N,).

    Solves ``x + z * sqrt(x * (1 + k * b)) = room`` with ``x = b * (1 + k)``, deviations z and bunching k.
    """
    squared, share = deviations**2, bunching / (1.0 + bunching)
    root = np.sqrt(squared * (squared + 4.0 * room + 4.0 * share * room**2))
    below = np.where(room > 0.0, 2.0 * room + squared + root, 1.0)
    return 2.0 * room**2 / below / (1.0 + bunching)


def _skewed(deviations: F64, running: F64, bunching: F64) -> F64:
    """Deviations that a negative binomial number exceeds as seldom as a normal one does the given, (N,).

    Cornish and Fisher's expansion to the first order in the skewness.
    """
    spread = 1.0 + bunching * running
    skewness = (2.0 * spread - 1.0) / np.sqrt(np.maximum(running * (1.0 + bunching) * spread, 1.0))
    return np.maximum(deviations + (deviations**2 - 1.0) * skewness / 6.0, deviations)


def slotted(of: Decoding, wait_s: F64, miss_ratio: F64, peakedness: F64 | float = 1.0) -> F64:
    """Requests per second at which few wait long for a slot, (N,).

    Args:
        of: the servers.
        wait_s: most seconds of waiting, (N,).
        miss_ratio: share that may wait longer, (N,).
        peakedness: of the arrivals, (N,) or one for all.
    """
    full_s = of.stay_s(of.slots)
    share = utilisation_limit(of.slots, np.maximum(wait_s, 0.0) / full_s, miss_ratio, peakedness)
    return share * of.slots / full_s


def _pace(of: Decoding, asked: Objectives) -> tuple[F64, F64]:
    """Seconds between tokens that the objective allows, and the deviations at which they must hold, as ``paced``."""
    pace_s = np.select(
        [asked.is_inter_token, asked.is_first_token],
        [asked.threshold_s / _at_least_one(of.pace_tail), np.inf],
        (asked.threshold_s / _at_least_one(of.answer_tail) - np.nan_to_num(of.prefill_s)) / of.generated,
    )
    return pace_s, np.where(asked.is_inter_token & np.isnan(of.pace_tail), asked.deviations, np.nan)


def _at_least_one(ratio: F64) -> F64:
    return np.fmax(ratio, 1.0)
