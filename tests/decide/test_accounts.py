"""What advice can cost: whatever it says, at most twice what it would have cost somebody who knew what came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lived_layers import PRICES, ROUNDING_S, Prices, best_s, keeps_the_bound, spent_s
from lull.decide.accounts import LAYERS, ROBUSTNESS, Accounts
from lull.model.columns import place, widen
from lull.model.costs import Costs

FIRST = np.zeros(1, dtype=np.int64)
LOWEST = np.ones(1, dtype=np.int64)


class Wish(Enum):
    LET_GO = "let go"
    HOLD = "hold, or start"


@dataclass
class Clamped:
    """One layer whose advice is clamped by its accounts; what is needed now is there in the next step in any case.

    Who is told first books a step and then decides, as the replay does; the operator decides and then books.
    """

    prices: Prices
    is_told_first: bool = True
    accounts: Accounts = field(default_factory=lambda: Accounts(1))
    needed: list[bool] = field(default_factory=list)
    on: list[bool] = field(default_factory=lambda: [False])

    def lives(self, is_needed: bool, wish: Wish) -> None:
        """One step, and the decision at its end."""
        if self.is_told_first:
            self._book(is_needed)
        stays = self._may_be_on(wish)
        if not self.is_told_first:
            self._book(is_needed)
        self.needed.append(is_needed)
        self.on.append(is_needed or stays)

    def may_let_go(self) -> bool:
        return bool(self.accounts.may_let_go(FIRST, LOWEST, self._worth_s)[0])

    def may_hold(self, for_s: float) -> bool:
        return bool(self.accounts.may_hold(FIRST, LOWEST, self._worth_s, for_s)[0])

    def may_start(self) -> bool:
        cost_s = np.array([self.prices.start_s + self.prices.tick_s])
        return bool(self.accounts.may_start(FIRST, LOWEST, self._worth_s, cost_s)[0])

    @property
    def _worth_s(self) -> np.ndarray:
        return np.array([self.prices.worth_s])

    def _book(self, is_needed: bool) -> None:
        tick_s = self.prices.tick_s
        need, on = np.array([float(is_needed)]), np.array([float(self.on[-1])])
        self.accounts.learn(FIRST, need, on, self.prices.costs(), tick_s, tick_s)

    def _may_be_on(self, wish: Wish) -> bool:
        if self.on[-1]:
            return self.may_hold(self.prices.tick_s) and (wish is Wish.HOLD or not self.may_let_go())
        return wish is Wish.HOLD and self.may_start()


SILENCES = st.one_of(st.just(1), st.integers(1, 5), st.integers(5, 60))
NEEDS = st.lists(st.tuples(SILENCES, st.sampled_from([1, 1, 2, 7])), min_size=1, max_size=12)


def steps(spells: Sequence[tuple[int, int]]) -> list[bool]:
    """Silences and the needs that end them, in steps."""
    return [is_needed for silent, busy in spells for is_needed in (*[False] * silent, *[True] * busy)]


@settings(max_examples=300)
@given(PRICES, NEEDS, st.booleans(), st.data())
def test_no_advice_costs_more_than_twice_what_who_knew_all_would_have_paid(
    prices: Prices, spells: list[tuple[int, int]], is_told_first: bool, data: st.DataObject
) -> None:
    """Who decides before the step is booked may be wrong by that step, once."""
    layer, needed = Clamped(prices, is_told_first), steps(spells)
    wishes = data.draw(st.lists(st.sampled_from(Wish), min_size=len(needed), max_size=len(needed)))
    for is_needed, wish in zip(needed, wishes, strict=True):
        layer.lives(is_needed, wish)
    keeps_the_bound(layer.needed, layer.on, prices, slack_s=0.0 if is_told_first else prices.tick_s)


def spiteful(_: Clamped, ahead: Sequence[bool]) -> Wish:
    """Lets go right before the need comes, and holds whatever is not needed soon."""
    return Wish.LET_GO if any(ahead[:2]) else Wish.HOLD


def late(layer: Clamped, ahead: Sequence[bool]) -> Wish:
    """Starts in the very last moment, too late, and lets go at once."""
    return Wish.HOLD if any(ahead[:2]) and not layer.on[-1] else Wish.LET_GO


def saving_to_waste(layer: Clamped, ahead: Sequence[bool]) -> Wish:
    """Thrifty for a while, to have much to waste after it."""
    return late(layer, ahead) if len(layer.needed) // 200 % 2 == 0 else Wish.HOLD


@pytest.mark.parametrize("is_told_first", [True, False])
@pytest.mark.parametrize("advise", [spiteful, late, saving_to_waste])
@pytest.mark.parametrize("silence", ["a moment", "just past its worth", "long", "each in turn"])
def test_advice_that_knows_what_comes_and_means_harm_keeps_the_bound(
    silence: str, advise: Callable[[Clamped, Sequence[bool]], Wish], is_told_first: bool
) -> None:
    prices = Prices()
    break_even = int(prices.worth_s / prices.tick_s) + 1
    lengths = {"a moment": [1], "just past its worth": [break_even], "long": [4 * break_even]}
    spells = [(n, 1) for n in lengths.get(silence, [1, break_even, 4 * break_even])]
    layer, needed = Clamped(prices, is_told_first), steps(spells * (1000 // len(steps(spells))))
    for i, is_needed in enumerate(needed):
        layer.lives(is_needed, advise(layer, needed[i + 1 :]))
    keeps_the_bound(layer.needed, layer.on, prices, slack_s=0.0 if is_told_first else prices.tick_s)


def test_the_bound_is_no_idle_one() -> None:
    """Advice that is obeyed blindly breaks it: let go and needed again, over and over."""
    prices, needed = Prices(), steps([(2, 1)] * 50)
    on = [False, *needed]
    with pytest.raises(AssertionError, match="allowed"):
        keeps_the_bound(needed, on, prices)


@given(PRICES, st.lists(st.booleans(), min_size=1, max_size=8))
def test_who_knew_all_holds_through_short_gaps_and_lets_go_in_long_ones(prices: Prices, needed: list[bool]) -> None:
    """The reference itself, against all schedules and against the sum of the accounts' docstring."""
    last = max((i for i, is_needed in enumerate(needed) if is_needed), default=-1)
    choices = [[True] if is_needed else [False, True] for is_needed in needed[: last + 1]]
    costs_s = [
        sum(on) * prices.tick_s + sum(b and not a for a, b in pairwise((False, *on))) * prices.worth_s
        for on in product(*choices)
    ]
    assert best_s(needed, prices)[-1] == pytest.approx(min(costs_s))
    assert best_s(needed, prices)[-1] == pytest.approx(_needs_and_gaps_s(needed, prices))


def _needs_and_gaps_s(needed: Sequence[bool], prices: Prices) -> float:
    at = [i for i, is_needed in enumerate(needed) if is_needed]
    gaps = [prices.worth_s, *((b - a - 1) * prices.tick_s for a, b in pairwise(at))]
    return len(at) * prices.tick_s + sum(min(gap_s, prices.worth_s) for gap_s in gaps if at)


@given(PRICES, NEEDS, st.data())
def test_the_books_hold_what_the_record_says(
    prices: Prices, spells: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Twice the clairvoyant's cost less what was spent: neither flattered nor overdrawn, as far as memory lasts."""
    layer, needed = Clamped(prices), steps(spells)
    wishes = data.draw(st.lists(st.sampled_from(Wish), min_size=len(needed), max_size=len(needed)))
    for is_needed, wish in zip(needed, wishes, strict=True):
        layer.lives(is_needed, wish)
    # What a need calls for is booked with the need, one step before it is there.
    owed_s = prices.energy_s if needed[-1] and not layer.on[len(needed) - 1] else 0.0
    spent = spent_s(needed, layer.on[: len(needed)], prices)[-1] + owed_s
    expected = ROBUSTNESS * best_s(needed, prices)[-1] - spent
    # Savings fade, so the books may only be the poorer.
    lived_s = len(needed) * prices.tick_s
    faded_s = 2.0 * ROBUSTNESS * best_s(needed, prices)[-1] * lived_s / (7.0 * 86_400.0)
    assert expected - faded_s - ROUNDING_S <= layer.accounts.balance_s[0, 0] <= expected + ROUNDING_S


PLAIN = Prices(tick_s=10.0, lead_s=60.0, energy_s=120.0, late_s=2.0)
"""A start costs 180 s and what is missed without it 2 * (2 * 60 + 10) = 260 s: worth 440 s."""


def lived(*spells: tuple[str, bool, int], prices: Prices = PLAIN) -> Accounts:
    """Books spells of (``needed``, ``silent`` or ``unknown``; whether it was on; for how many steps)."""
    accounts = Accounts(1)
    for need, is_on, count in spells:
        for _ in range(count):
            replicas = {"needed": 1.0, "silent": 0.0, "unknown": np.nan}[need]
            accounts.learn(FIRST, np.array([replicas]), np.array([float(is_on)]), prices.costs(), 10.0, 10.0)
    return accounts


def balance_s(accounts: Accounts) -> float:
    return float(accounts.balance_s[0, 0])


def test_a_start_that_comes_too_late_is_booked_for_what_it_missed() -> None:
    """Started two steps before the need it lacks 50 s when the need begins, and twice that is missed at 2 a second."""
    early = lived(("silent", False, 60), ("silent", True, 6), ("needed", True, 1))
    late = lived(("silent", False, 60), ("silent", True, 1), ("needed", True, 1))
    held_s = 5 * PLAIN.tick_s
    assert balance_s(early) - balance_s(late) == pytest.approx(2.0 * 2.0 * 50.0 - held_s, abs=0.1)


def test_one_start_is_paid_for_once_however_often_it_is_needed_meanwhile() -> None:
    accounts = lived(("silent", False, 60), ("needed", False, 1))
    before_s = balance_s(accounts)
    again = lived(("silent", False, 60), ("needed", False, 1), ("silent", True, 1), ("needed", True, 1))
    # 10 s of gap and 10 s of need at twice their cost, less 20 s that it was on
    assert balance_s(again) - before_s == pytest.approx(2.0 * 20.0 - 20.0, abs=0.1)


def test_what_is_unknown_is_not_booked() -> None:
    """Neither spent nor saved, and the gap does not grow: who knows whether it was one."""
    for is_on in (False, True):
        known = lived(("needed", True, 5), ("silent", is_on, 3))
        unknown = lived(("needed", True, 5), ("silent", is_on, 3), ("unknown", is_on, 50))
        assert balance_s(unknown) == pytest.approx(balance_s(known), rel=1e-3)
        assert unknown.gap_s[0, 0] == known.gap_s[0, 0] == 30.0


def test_unknown_prices_book_nothing() -> None:
    accounts, unknown = Accounts(1), np.array([np.nan])
    costs = replace(PLAIN.costs(), limit_rps=unknown, miss_price_s=unknown)
    accounts.learn(FIRST, np.ones(1), np.ones(1), costs, 10.0, 10.0)
    assert balance_s(accounts) == 0.0
    assert accounts.gap_s[0, 0] == np.inf


def test_a_start_of_unknown_length_leaves_the_books_readable() -> None:
    accounts = Accounts(1)
    unknown = replace(PLAIN, lead_s=np.nan).costs()
    for costs, need, on in (
        (unknown, 0.0, 0.0),
        (unknown, 0.0, 1.0),
        (PLAIN.costs(), 0.0, 1.0),
        (PLAIN.costs(), 1.0, 1.0),
    ):
        accounts.learn(FIRST, np.array([need]), np.array([on]), costs, 10.0, 10.0)
    assert np.isfinite(accounts.balance_s).all()


def test_savings_fade_and_debts_do_not() -> None:
    saved, owing, unknown = lived(("needed", True, 60)), Accounts(1), np.array([np.nan])
    owing.balance_s[0] = -500.0
    before_s = balance_s(saved)
    for accounts in (saved, owing):
        accounts.learn(FIRST, unknown, np.zeros(1), PLAIN.costs(), 10.0, 7.0 * 86_400.0)
    assert balance_s(saved) == pytest.approx(before_s / np.e)
    assert balance_s(owing) == -500.0


def test_a_layer_is_held_until_its_worth_is_spent_and_not_longer() -> None:
    """Let go in vain before, it has nothing left: after 440 s, no step more."""
    layer = Clamped(PLAIN)
    layer.accounts.balance_s[0], layer.accounts.gap_s[0] = 0.0, 0.0
    layer.on = [True]
    for _ in range(60):
        layer.lives(False, Wish.HOLD)
    assert sum(layer.on) * PLAIN.tick_s == PLAIN.worth_s == 440.0


def test_layers_beyond_the_last_account_share_its_fate() -> None:
    accounts = Accounts(1)
    accounts.learn(FIRST, np.array([float(LAYERS)]), np.array([float(LAYERS)]), PLAIN.costs(), 10.0, 10.0)
    numbers = np.array([1, LAYERS, LAYERS + 1, 500])
    told = accounts.may_start(np.zeros(4, dtype=np.int64), numbers, np.full(4, 440.0), np.full(4, 100.0))
    assert told[1] == told[2] == told[3]
    accounts.balance_s[LAYERS - 1] += 1000.0
    told = accounts.may_start(np.zeros(4, dtype=np.int64), numbers, np.full(4, 440.0), np.full(4, 100.0))
    assert told.tolist() == [False, True, True, True]


def test_columns_are_booked_apart_in_whatever_order_they_are_told() -> None:
    draw = np.random.default_rng(5)
    kinds = [replace(PLAIN, late_s=late_s) for late_s in (0.0, 1.0, 5.0)]
    together, alone = Accounts(3), [Accounts(1) for _ in kinds]
    turned = np.array([2, 0, 1])
    for _ in range(200):
        need, on = draw.integers(0, 4, 3).astype(np.float64), draw.integers(0, 4, 3).astype(np.float64)
        costs = [kind.costs() for kind in kinds]
        for i, accounts in enumerate(alone):
            accounts.learn(FIRST, need[i : i + 1], on[i : i + 1], costs[i], 10.0, 10.0)
        joined = Costs(*(np.concatenate([getattr(c, name) for c in costs]) for name in Costs.__slots__))
        together.learn(turned, need[turned], on[turned], joined.of(turned), 10.0, 10.0)
    for name in Accounts.COLUMNS:
        np.testing.assert_array_equal(getattr(together, name), np.hstack([getattr(each, name) for each in alone]))


def test_every_array_of_the_accounts_grows_and_is_made_as_new() -> None:
    """A column that is left out of either would hand one model's past to the next."""
    accounts, fresh = lived(("needed", True, 9), ("silent", True, 2)), Accounts(1)
    arrays = {name for name, value in vars(accounts).items() if isinstance(value, np.ndarray)}
    assert arrays == set(Accounts.COLUMNS)
    widen(accounts, Accounts(2))
    assert all(getattr(accounts, name).shape == (LAYERS, 3) for name in arrays)
    place(accounts, FIRST, Accounts(1))
    for name in arrays:
        np.testing.assert_array_equal(getattr(accounts, name)[:, :1], getattr(fresh, name))
