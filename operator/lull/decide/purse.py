"""One limit of one budget: what is left of it, the price that follows, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from lull.decide.claims import Claims
from lull.decide.expected import Course, course_of_past, per_j_ahead, plan
from lull.decide.pacing import BAND, Purse, approach, spent_at
from lull.decide.split import split
from lull.model.arrays import F64
from lull.model.budget import Limit
from lull.model.period import Span
from lull.model.spending import Standing, Wanted

_LASTS_S: Final = 6.0 * 3600.0
"""Time for which a distance from the forecast is taken to last."""
_ROUNDING: Final = 1e-9
_INTERVAL: Final = 0.95
"""Quantile of the upper end of the interval, which holds nine in ten."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of one limit: NaN = unknown."""

    limit: Limit
    amount: float
    is_told: bool
    """Whether every model's spending is; else the sums are those of the others."""
    spent: F64
    """By part of the period, the oldest first, and namespace, (K, A)."""
    others: F64
    """Of models that are gone, (K,)."""
    per_j: F64
    """Units per joule by hours from now on, (H',)."""

    @property
    def is_known(self) -> bool:
        """Whether all of it is."""
        return self.is_told and not np.isnan(self.others).any() and not np.isnan(self.per_j).any()

    @property
    def at_least(self) -> float:
        """What was spent as far as it is known."""
        return float(self.spent.sum() + np.nansum(self.others))


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time that has to make do with what is left, which of a rolling period is the part that binds."""

    amount: float
    """That is for the namespaces: without what is spent by others."""
    spent: F64
    """Of the amount, by namespace, (A,)."""
    ahead: Course
    worth: F64
    """Units per watt in each part of it, (H,)."""


def stretch(account: Account, ahead: Course, *, is_rolling: bool) -> Stretch:
    """What the limit asks of the time ahead.

    Of a rolling period every part that ends within it asks something: when it is over, the parts that are older have
    gone, and what is spent until then has to fit beside the younger ones. The tightest binds.
    """
    worth = ahead.lasts_s * per_j_ahead(ahead.edges_s, account.per_j)
    if not is_rolling:
        amount = account.amount - float(account.others.sum())
        return Stretch(amount, account.spent.sum(axis=0), ahead, worth)
    parts = len(account.spent)
    ends_s = ahead.edges_s[0] + (ahead.edges_s[-1] - ahead.edges_s[0]) * np.arange(1, parts + 1) / parts
    wanted = np.append(0.0, np.cumsum(worth * ahead.want_w.sum(axis=1)))
    wanted_by = np.interp(ends_s, ahead.edges_s, wanted)
    stays = account.spent.sum(axis=1) + account.others
    younger = stays.sum() - np.cumsum(stays)
    with np.errstate(divide="ignore", invalid="ignore"):
        tightness = np.where(wanted_by > 0.0, (account.amount - younger) / wanted_by, np.inf)
    binds = int(np.argmin(tightness))
    cut = ahead.until(float(ends_s[binds]))
    return Stretch(
        amount=account.amount - float(account.others[binds + 1 :].sum()),
        spent=account.spent[binds + 1 :].sum(axis=0),
        ahead=cut,
        worth=cut.lasts_s * per_j_ahead(ahead.edges_s, account.per_j)[: len(cut.lasts_s)],
    )


def purse_of(found: Stretch, claims: Claims, ranks: int, reserve: float) -> tuple[Purse, F64]:
    """What is left beyond the floors, and what the floors take, (A,)."""
    shape = (claims.accounts, ranks)
    floor_w = np.bincount(
        claims.account * ranks + claims.rank, claims.power_w(claims.floor), minlength=claims.accounts * ranks
    )
    want = (found.worth @ found.ahead.want_w).reshape(shape)
    least = (found.worth @ np.minimum(floor_w, found.ahead.want_w)).reshape(shape)
    sd = (found.ahead.sd_w * _spread(found)).reshape(shape)
    exists = np.zeros(shape, dtype=bool)
    exists[claims.account, claims.rank] = True
    floors = least.sum(axis=1)
    shares = split(found.amount, found.spent + floors, found.spent + want.sum(axis=1), claims.weights)
    left = shares - found.spent - floors
    return Purse(left, want - least, sd, exists, BAND * np.maximum(shares, 0.0), reserve), floors


def price_of(purse: Purse, floors: F64, found: Stretch, claims: Claims, before: F64, for_s: float) -> F64:
    """The limit's next price, (A,); who has nothing left is at the floor at once.

    A namespace that wants no more than its floor pays nothing, unless not even the floors of all are left.
    """
    left_s = float(found.ahead.edges_s[-1] - found.ahead.edges_s[0])
    least = _ROUNDING * abs(found.amount)
    wants = purse.above.sum(axis=1) > least
    price = np.where(wants, np.where(purse.left <= least, claims.top, approach(purse, before, for_s, left_s)), 0.0)
    return claims.top if is_short(found, floors) else np.minimum(price, claims.top)


def is_short(found: Stretch, floors: F64) -> bool:
    """Whether what is left is less than the floors of all."""
    return float((found.spent + floors).sum()) > found.amount * (1.0 + _ROUNDING)


def standing(
    account: Account, found: Stretch, purse: Purse, floors: F64, price: F64, wanted: Wanted, span: Span, now_s: float
) -> Standing:
    """How the limit stands when this price stays in force."""
    gone = account.amount - found.amount + float(found.spent.sum())
    ahead = float(floors.sum() + spent_at(purse, price).sum())
    spread = NormalDist().inv_cdf(_INTERVAL) * float(np.sqrt((purse.sd**2).sum()))
    return Standing(
        limit=account.limit,
        amount=account.amount,
        spent=account.at_least,
        planned=_planned(account, found, wanted, span, now_s),
        forecast=gone + ahead,
        low=gone + max(ahead - spread, 0.0),
        high=gone + ahead + spread,
        least=gone + float(floors.sum()),
        exhausted_s=_exhausted_s(account, found, gone, ahead, now_s),
        # A rolling period that is paced is always all but full.
        is_spent=account.at_least >= account.amount * (1.0 + (BAND if span.end_s <= now_s else 0.0)),
    )


def unknown_standing(account: Account) -> Standing:
    """What is spent is known from below at best, and nothing follows from that."""
    nothing = float("nan")
    is_spent = account.at_least >= account.amount
    spent = account.at_least if is_spent else nothing
    return Standing(account.limit, account.amount, spent, nothing, nothing, nothing, nothing, nothing, None, is_spent)


def _spread(found: Stretch) -> float:
    """Standard deviation of the sum over the time ahead, for one of a watt that is forgotten after a while."""
    lasts_s = float(found.ahead.lasts_s.sum())
    per_j = float(found.worth.sum()) / lasts_s if lasts_s > 0.0 else 0.0
    return per_j * float(np.sqrt(2.0 * _LASTS_S * (lasts_s + _LASTS_S * np.expm1(-lasts_s / _LASTS_S))))


def _planned(account: Account, found: Stretch, wanted: Wanted, span: Span, now_s: float) -> float:
    """The amount shared out over the period by what is expected of it: the part of the time that has passed."""
    if span.end_s <= now_s:
        return account.amount
    past = course_of_past(wanted, span.start_s, now_s)
    weights = np.array([past * float(account.per_j[0]), float((found.worth @ found.ahead.want_w).sum())])
    return float(plan(account.amount, weights)[0])


def _exhausted_s(account: Account, found: Stretch, gone: float, ahead: float, now_s: float) -> float | None:
    """When the amount will be spent, at the pace that leads to what is expected."""
    if gone >= account.amount:
        return now_s
    total = found.worth @ found.ahead.want_w.sum(axis=1)
    if ahead <= 0.0 or total <= 0.0 or gone + ahead <= account.amount * (1.0 + BAND):
        return None
    spent = gone + np.append(0.0, np.cumsum(found.worth * found.ahead.want_w.sum(axis=1))) * ahead / total
    return float(np.interp(account.amount, spent, found.ahead.edges_s))
