"""What the models of one budget want, and what they keep of it at a price.

A price is a place on a ladder. Below the first rung nothing is held back; on the way to rung 1 the models of the lowest
priority give up what they have above their floor, each the same share; on the way to rung 2 those of the next one do;
at the top every model is at its floor. So nobody loses anything before all of lower priority have lost everything,
and what is kept falls as the price rises, whatever the sizes are. Namespaces have prices of their own (see
``decide.split``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np

from lull.decide.layers import layers_between
from lull.model.arrays import F64, I64

_STEP: Final = 1e-6
"""Prices closer than this are one."""
_ROUNDING: Final = 1e-9
_OFFSETS: Final = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Claims:
    """Columns over the models of a budget, (N,) each."""

    want: I64
    """Replicas, as everything but the budget has it."""
    floor: I64
    """Fewest that the budget leaves; at most what is wanted."""
    idle_w: F64
    """Of one replica."""
    dynamic_w: F64
    """Of the model on top, for the load it has."""
    busy: F64
    """Replicas' worth of work that this load is."""
    account: I64
    """Number of its namespace, from 0."""
    rank: I64
    """Place of its priority among those of its namespace, from 0 for the lowest."""
    offset: F64
    """Where between two of its replicas the share is rounded: models of one size must not all move at once."""
    weights: F64
    """Of the namespaces, (A,)."""

    @property
    def accounts(self) -> int:
        """Number of namespaces."""
        return len(self.weights)

    @property
    def top(self) -> F64:
        """Highest price of each namespace, at which all its models are at their floor, (A,)."""
        ranks: F64 = np.zeros(self.accounts)
        np.maximum.at(ranks, self.account, self.rank + 1.0)
        return ranks

    def power_w(self, replicas: I64) -> F64:
        """Power of so many replicas of each, (N,)."""
        return power_w(replicas, self.idle_w, self.dynamic_w, self.busy)

    def by_account(self, values: F64) -> F64:
        """Sums over the models of each namespace, (A,)."""
        return np.bincount(self.account, values, minlength=self.accounts).astype(np.float64)


def power_w(replicas: I64, idle_w: F64, dynamic_w: F64, busy: F64) -> F64:
    """Power of so many replicas, (N,): those that lack for the work leave some of it undone; see ``Claims``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        done = np.where(busy > 0.0, np.minimum(replicas, busy) / busy, 0.0)
    return replicas * idle_w + dynamic_w * done


def kept(claims: Claims, price: F64) -> I64:
    """Replicas that each model keeps at its namespace's price, (A,); between floor and want, falling in the price."""
    share = np.clip(claims.rank + 1.0 - price[claims.account], 0.0, 1.0)
    above = claims.want - claims.floor
    whole = np.floor(share * above + claims.offset + _ROUNDING).astype(np.int64)
    return claims.floor + np.clip(whole, 0, above)


def fit(claims: Claims, room_w: F64, *, standing: I64 | None = None, start_w: F64 | None = None) -> F64:
    """Lowest price at which the models of each namespace draw no more than its room, (A,); the top where none does.

    Args:
        claims: of the models.
        room_w: of each namespace, (A,).
        standing: replicas that need no start, (N,); None = all.
        start_w: what one draws while it starts, (N,); those beyond ``standing`` count with it where it is more.
    """
    layers = layers_between(claims.floor, claims.want)
    owner, number = layers.owner, layers.number
    above = (claims.want - claims.floor)[owner]
    share = (number - claims.floor[owner] - claims.offset[owner]) / np.maximum(above, 1)
    # At any higher price the layer is gone.
    leaves_at = claims.rank[owner] + 1.0 - share
    draws_w = _layer_w(claims, owner, number, standing, start_w)
    account = claims.account[owner]
    order = np.lexsort((-leaves_at, account))
    drawn_w = np.cumsum(draws_w[order])
    first = np.searchsorted(account[order], np.arange(claims.accounts))
    before_w = np.append(0.0, drawn_w)[first]
    floor_w = claims.by_account(claims.power_w(claims.floor))
    is_over = drawn_w - before_w[account[order]] + floor_w[account[order]] > room_w[account[order]] + _ROUNDING
    price: F64 = np.zeros(claims.accounts)
    np.maximum.at(price, account[order][is_over], leaves_at[order][is_over] + _STEP)
    return np.where(floor_w > room_w + _ROUNDING, claims.top, np.minimum(price, claims.top))


def offsets(uids: Sequence[str]) -> F64:
    """A place between 0 and 1 for each model, (N,), always the same one for the same model."""
    low, high = _OFFSETS
    return np.array([low + (high - low) * crc32(uid.encode()) / 2**32 for uid in uids], dtype=np.float64)


def _layer_w(claims: Claims, owner: I64, number: I64, standing: I64 | None, start_w: F64 | None) -> F64:
    """What each layer adds to the power of those below it, (L,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        work = np.clip(claims.busy[owner] - (number - 1.0), 0.0, 1.0) / claims.busy[owner]
    draws_w = claims.idle_w[owner] + claims.dynamic_w[owner] * np.nan_to_num(work)
    if standing is None or start_w is None:
        return draws_w
    return np.where(number > standing[owner], np.maximum(draws_w, start_w[owner]), draws_w)
