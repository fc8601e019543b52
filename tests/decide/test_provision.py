"""What the forecast may ask for: worlds to check by hand, and chances that mean harm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lived_layers import OF_MODELS, Prices, costs_of, keeps_the_bound
from lull.decide.accounts import Accounts
from lull.decide.layers import layers_between
from lull.decide.provision import Advice, advise, candidates, misses_s, thresholds_rps
from lull.model.arrays import F64
from lull.model.costs import Costs

HORIZONS_S = np.array([60.0, 120.0, 600.0, 3600.0])
PLAIN = Prices()
"""With steps of 10 s: a start of 60 s costs 180 s, what is missed without it 260 s; worth 440 s."""


def told(
    chance: F64, replicas: float, *, accounts: Accounts | None = None, costs: Costs | None = None, tick_s: float = 10.0
) -> Advice:
    """Advice on one model whose layers have these chances, (H, L)."""
    layers = layers_between(np.zeros(1), np.array([float(chance.shape[1])]))
    books = Accounts(1) if accounts is None else accounts
    at = np.zeros(1, dtype=np.int64)
    return advise(layers, chance, HORIZONS_S, costs or PLAIN.costs(), books, at, np.array([replicas]), tick_s)


def chances(*of_layers: float) -> F64:
    """The same chance at every horizon."""
    return np.tile(np.array(of_layers), (len(HORIZONS_S), 1))


def after(*spells: tuple[float, float, int]) -> Accounts:
    """Accounts that have lived through spells of (need, replicas, for how many steps)."""
    accounts = Accounts(1)
    for need, replicas, count in spells:
        for _ in range(count):
            at, for_s = np.zeros(1, dtype=np.int64), PLAIN.tick_s
            accounts.learn(at, np.array([need]), np.array([replicas]), PLAIN.costs(), for_s, for_s)
    return accounts


def test_a_certain_rise_starts_exactly_the_layers_it_needs() -> None:
    advice = told(chances(1.0, 1.0, 1.0, 0.0, 0.0), replicas=1.0)
    assert advice.start_to.tolist() == [3]


def test_a_rise_that_a_later_start_would_still_meet_is_left_for_later() -> None:
    """A start takes 60 s and 10 s until the next decision: what comes within 120 s counts, however dear a miss is."""
    soon = np.array([[0.0, 1.0, 1.0, 1.0]]).T
    later = np.array([[0.0, 0.0, 1.0, 1.0]]).T
    dear = Prices(late_s=50.0).costs()
    assert told(soon, replicas=0.0, costs=dear).start_to.tolist() == [1]
    assert told(later, replicas=0.0, costs=dear).start_to.tolist() == [0]


def test_what_is_there_is_kept_through_a_short_gap_that_is_foreseen() -> None:
    """The gap lasts 360 s in the mean, less than the 440 s it is worth; at a chance of half it is not."""
    gap = np.array([[0.0, 0.0, 1.0, 1.0]]).T
    rich = after((1.0, 1.0, 500), (0.0, 1.0, 2))
    assert told(gap, replicas=1.0, accounts=rich).keep_to.tolist() == [1]
    assert told(gap / 2.0, replicas=1.0, accounts=rich).keep_to.tolist() == [0]


def test_without_a_need_in_sight_nothing_is_let_go_before_its_break_even() -> None:
    """A layer without savings, let go at once and needed at once, would cost more than twice the clairvoyant's."""
    accounts = after((1.0, 1.0, 1))
    accounts.balance_s[0] = 0.0
    kept_s = 0.0
    while told(chances(0.0), replicas=1.0, accounts=accounts).keep_to[0] == 1:
        at, for_s = np.zeros(1, dtype=np.int64), PLAIN.tick_s
        accounts.learn(at, np.zeros(1), np.ones(1), PLAIN.costs(), for_s, for_s)
        kept_s += for_s
    assert kept_s == PLAIN.worth_s


def test_savings_let_a_layer_go_at_once() -> None:
    rich = after((1.0, 1.0, 500), (0.0, 1.0, 1))
    assert told(chances(0.0), replicas=1.0, accounts=rich).keep_to.tolist() == [0]


def test_an_unknown_chance_keeps_what_there_is_and_starts_nothing() -> None:
    poor = after((3.0, 3.0, 1), (0.0, 3.0, 200))
    advice = told(chances(np.nan, np.nan, np.nan, np.nan), replicas=3.0, accounts=poor)
    assert (advice.keep_to.tolist(), advice.start_to.tolist()) == ([3], [0])


@pytest.mark.parametrize("name", ["limit_rps", "miss_price_s", "start_s", "lead_s"])
def test_an_unknown_price_keeps_what_there_is_and_starts_nothing(name: str) -> None:
    values = {each: getattr(PLAIN.costs(), each) for each in Costs.__slots__} | {name: np.array([np.nan])}
    for likely in (0.0, 1.0):
        advice = told(chances(likely, likely, likely), replicas=2.0, costs=Costs(**values))
        assert (advice.keep_to.tolist(), advice.start_to.tolist()) == ([2], [0])


def test_a_layer_that_may_not_be_held_takes_those_above_it_along() -> None:
    """A replica is there only together with those below it, whatever is expected of the upper ones."""
    accounts = after((3.0, 3.0, 500), (0.0, 3.0, 2))
    assert told(chances(1.0, 1.0, 1.0), replicas=3.0, accounts=accounts).keep_to.tolist() == [3]
    accounts.gap_s[1], accounts.balance_s[1] = 1e4, -PLAIN.worth_s
    assert told(chances(1.0, 1.0, 1.0), replicas=3.0, accounts=accounts).keep_to.tolist() == [1]


def test_a_layer_that_may_not_be_started_stops_those_above_it() -> None:
    accounts = Accounts(1)
    assert told(chances(1.0, 1.0, 1.0), replicas=1.0, accounts=accounts).start_to.tolist() == [3]
    accounts.balance_s[2] = -PLAIN.worth_s
    assert told(chances(1.0, 1.0, 1.0), replicas=1.0, accounts=accounts).start_to.tolist() == [2]


@dataclass
class Fleet:
    """Models that obey the advice; what is needed now is there in the next step in any case."""

    prices: list[Prices]
    most: int
    tick_s: float

    def lives(self, need: F64, chance: list[F64], *, is_told_first: bool) -> F64:
        """Replicas in each step, (T, N), of needs (T, N) and chances (H, N * most) for each step."""
        models = len(self.prices)
        accounts, costs = Accounts(models), costs_of(self.prices)
        at, layers = np.arange(models), layers_between(np.zeros(models), np.full(models, float(self.most)))
        replicas, record = np.zeros(models), []
        for now, expected in zip(need, chance, strict=True):
            record.append(replicas)
            if is_told_first:
                accounts.learn(at, now, replicas, costs, self.tick_s, self.tick_s)
            advice = advise(layers, expected, HORIZONS_S, costs, accounts, at, replicas, self.tick_s)
            if not is_told_first:
                accounts.learn(at, now, replicas, costs, self.tick_s, self.tick_s)
            kept = np.minimum(advice.keep_to, replicas)
            replicas = np.maximum(np.maximum(now, kept), advice.start_to)
        return np.array(record)


def needs(draw: np.random.Generator, steps: int, models: int, most: int) -> F64:
    """Levels that stay for a while, a long one or a short one; each model has a pace of its own."""
    need = np.empty((steps, models))
    for model, change in enumerate(draw.choice([0.9, 0.5, 0.1, 0.02], models)):
        level = 0
        for i in range(steps):
            level = int(draw.integers(0, most + 1)) if draw.random() < change else level
            need[i, model] = level
    return need


def random_chances(draw: np.random.Generator, need: F64, most: int) -> list[F64]:
    """Anything, certainty included."""
    shape = (len(HORIZONS_S), need.shape[1] * most)
    return [np.sort(np.round(draw.random(shape) * draw.choice([0.3, 1.0, 3.0])).clip(0, 1), axis=0) for _ in need]


def contrary_chances(_: np.random.Generator, need: F64, most: int) -> list[F64]:
    """Certain of what does not come and sure that what comes will not."""
    number = np.tile(np.arange(1, most + 1), need.shape[1])
    soon = [need[i + 1 : i + 4].max(axis=0, initial=0.0).repeat(most) >= number for i in range(len(need))]
    return [np.tile(np.where(comes, 0.0, 1.0), (len(HORIZONS_S), 1)) for comes in soon]


def late_chances(_: np.random.Generator, need: F64, most: int) -> list[F64]:
    """Told only when it is too late to start, and denied as soon as it is over; then wasteful for a while."""
    number = np.tile(np.arange(1, most + 1), need.shape[1])
    soon = [need[i + 1 : i + 3].max(axis=0, initial=0.0).repeat(most) >= number for i in range(len(need))]
    wasteful = np.arange(len(need)) // 100 % 2 == 1
    return [
        np.tile(np.where(comes | wastes, 1.0, 0.0), (len(HORIZONS_S), 1))
        for comes, wastes in zip(soon, wasteful, strict=True)
    ]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(OF_MODELS, min_size=8, max_size=8),
    st.sampled_from([random_chances, contrary_chances, late_chances]),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_each_layer_of_a_fleet_keeps_the_bound_whatever_is_forecast(
    prices: list[Prices], forecast: object, is_told_first: bool, seed: int
) -> None:
    assert callable(forecast)
    draw, most, steps = np.random.default_rng(seed), 4, 400
    need = needs(draw, steps, len(prices), most)
    record = Fleet(prices, most, 10.0).lives(need, forecast(draw, need, most), is_told_first=is_told_first)
    for model, each in enumerate(prices):
        for number in range(1, most + 1):
            needed, on = need[:, model] >= number, record[:, model] >= number
            layer = each.first if number == 1 else each
            keeps_the_bound(needed.tolist(), on.tolist(), layer, slack_s=0.0 if is_told_first else each.tick_s)


def test_a_fleet_that_obeys_blindly_breaks_the_bound() -> None:
    """The same world without accounts: it is they that keep it."""
    draw, most = np.random.default_rng(3), 2
    need = needs(draw, 400, 4, most)
    chance = contrary_chances(draw, need, most)
    wanted = [expected[0].reshape(4, most).sum(axis=1) for expected in chance]
    record = np.maximum(need, np.array([np.zeros(4), *wanted[:-1]]))
    with pytest.raises(AssertionError, match="allowed"):
        keeps_the_bound((need[:, 0] >= 1).tolist(), (record[:, 0] >= 1).tolist(), PLAIN)


@given(st.integers(0, 2**16))
def test_models_are_advised_as_if_each_were_alone(seed: int) -> None:
    draw = np.random.default_rng(seed)
    most, kinds = np.array([3, 0, 1, 4]), [Prices(late_s=late_s) for late_s in (0.1, 1.0, 2.0, 5.0)]
    layers, at, replicas = layers_between(np.zeros(4), most), np.array([2, 0, 3, 1]), draw.integers(0, 4, 4)
    replicas = np.minimum(replicas, most).astype(np.float64)
    accounts = Accounts(4)
    accounts.balance_s[:] = draw.uniform(-500.0, 500.0, accounts.balance_s.shape)
    accounts.gap_s[:] = draw.uniform(0.0, 1000.0, accounts.gap_s.shape)
    chance = np.sort(draw.random((len(HORIZONS_S), int(most.sum()))), axis=0)
    together = advise(layers, chance, HORIZONS_S, costs_of(kinds), accounts, at, replicas, 10.0)
    for i, kind in enumerate(kinds):
        one = layers_between(np.zeros(1), most[i : i + 1])
        mine = chance[:, layers.owner == i]
        alone = advise(one, mine, HORIZONS_S, kind.costs(), accounts, at[i : i + 1], replicas[i : i + 1], 10.0)
        assert (together.start_to[i], together.keep_to[i]) == (alone.start_to[0], alone.keep_to[0])


def test_where_nothing_runs_every_layer_is_worth_what_a_wake_is() -> None:
    """Two may be needed; those who come find none, so that the price of a miss has no say."""
    cheap, dear = Prices(late_s=50.0, cold_s=0.0), Prices(late_s=1.0, cold_s=50.0)
    maybe = chances(0.5, 0.5, 0.0)
    assert told(maybe, replicas=0.0, costs=cheap.costs()).start_to.tolist() == [0]
    assert told(maybe, replicas=1.0, costs=cheap.costs()).start_to.tolist() == [2]
    assert told(maybe, replicas=0.0, costs=dear.costs()).start_to.tolist() == [2]
    assert told(maybe, replicas=1.0, costs=dear.costs()).start_to.tolist() == [0]


def test_layers_in_question_are_those_there_are_and_those_the_highest_quantile_reaches() -> None:
    quantiles = np.zeros((6, 4, 5), dtype=np.float32)
    quantiles[-1, 2] = [25.0, 5.0, 1000.0, np.nan, 25.0]
    replicas, limit_rps = np.array([1.0, 3.0, 0.0, 2.0, 1.0]), np.array([10.0, 10.0, 10.0, 10.0, np.nan])
    layers = candidates(quantiles, replicas, limit_rps, np.full(5, 20.0))
    counts = np.bincount(layers.owner, minlength=5)
    assert counts.tolist() == [3, 3, 20, 2, 1]
    assert thresholds_rps(layers, np.full(5, 10.0))[:3].tolist() == [0.0, 10.0, 20.0]


def test_a_layer_answers_for_what_it_would_have_carried() -> None:
    """10 requests/s for twice 60 s and the 10 s until it is noticed, at 0.5 s of idle power each."""
    costs = Costs(*(np.array([value] * 2) for value in (10.0, 0.5, 180.0, 60.0, 120.0, 0.2)))
    assert misses_s(costs, np.array([2, 3]), 10.0).tolist() == [650.0, 650.0]


def test_the_first_one_answers_for_those_that_wait_for_a_wake() -> None:
    costs = Costs(*(np.array([value] * 2) for value in (10.0, 0.5, 180.0, 60.0, 120.0, 0.2)))
    assert misses_s(costs, np.array([1, 2]), 10.0).tolist() == [260.0, 650.0]
