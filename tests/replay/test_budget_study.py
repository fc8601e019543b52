"""Budgets on a small drawn fleet: kept to, used up while work is held back, and never taken from the wrong one."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from budgets import HOUR_S, MONDAY_S, a_budget
from lull.cli import main
from lull.model.arrays import I64
from lull.model.budget import EnergyBudget, Limit
from lull.model.period import Span
from lull.replay.budget_study import BudgetStudy, PeriodSpent, budget_study, inverted
from lull.replay.budget_table import as_json
from lull.replay.options import Options
from lull.replay.physics import Physics
from lull.replay.policies.budgeted import Granted, Roles
from lull.replay.stage import Stage
from lull.replay.tally import PARTS, Tally
from lull.replay.trace import sample

PHYSICS = Physics(step_s=120.0, patience_s=60.0)


@cache
def a_stage() -> Stage:
    trace = sample(3, days=2.0, series=6, bin_s=120.0)
    return Stage.of(trace, Options(physics=PHYSICS))


def roles(budgets: list[EnergyBudget], priority: tuple[int, ...] = (2, 1, 0, 2, 1, 0)) -> Roles:
    names = a_stage().series
    selected: dict[str, I64] = {budget.uid: np.arange(len(names)) for budget in budgets}
    return Roles(names, ["a", "a", "a", "b", "b", "b"], np.array(priority), selected)


@cache
def tried(energy: str, period: tuple[tuple[str, str], ...], enforcement: str = "Enforce") -> BudgetStudy:
    budgets = [a_budget(limits={"energy": energy}, period=dict(period), enforcement=enforcement)]
    return budget_study(a_stage(), budgets, roles(budgets), origin_s=MONDAY_S, per_j={})


@cache
def free_kwh() -> float:
    """What a day takes when nothing is held back."""
    study = tried("1MWh", (("calendar", "Day"),))
    return sum(period.spent for period in study.periods) / 2.0 / 3.6e6


def tight(share: float, period: tuple[tuple[str, str], ...], days: float) -> BudgetStudy:
    return tried(f"{share * free_kwh() * days:.3f}kWh", period)


def missed(study: BudgetStudy, priority: int) -> float:
    own = study.roles.priority == priority
    return float(study.outcome.missed[own].sum() / study.outcome.requests[own].sum())


def test_what_a_budget_counts_is_what_the_world_spent() -> None:
    study = tried("1MWh", (("calendar", "Day"),))
    outcome = study.outcome
    # What stands at the start counts as started for the outcome alone; what was not begun to be started there is paid.
    standing = np.ceil(a_stage().arrivals[0] / PHYSICS.step_s / a_stage().capacity_rps)
    at_start_j = float(standing.sum()) * PHYSICS.start_cost_s * PHYSICS.idle_w
    whole_j = float((outcome.idle_j + outcome.start_j + outcome.dynamic_j).sum()) - at_start_j
    assert sum(period.spent for period in study.periods) == pytest.approx(whole_j, rel=0.002)


@pytest.mark.parametrize(
    ("period", "days", "over"),
    [
        pytest.param((("calendar", "Day"),), 1.0, 0.01, id="day"),
        # In steps of two minutes one decision is a thirtieth of the hour.
        pytest.param((("calendar", "Hour"),), 1.0 / 24.0, 0.02, id="hour"),
    ],
)
def test_a_budget_is_kept_to_and_used_up(period: tuple[tuple[str, str], ...], days: float, over: float) -> None:
    study = tight(0.85, period, days)
    whole = [one for one in study.periods if one.is_whole]
    assert sum(one.held_ratio for one in whole) > 0.05
    assert max(one.over_ratio for one in whole) <= over
    assert max(one.lost_ratio for one in whole) <= 0.02
    assert study.inversions == 0


def test_a_rolling_budget_is_kept_to() -> None:
    study = tight(0.85, (("rolling", "6h"),), 0.25)
    (fullest,) = study.periods
    assert fullest.held_ratio > 0.05
    assert fullest.over_ratio <= 0.03


def test_who_has_the_higher_priority_is_served_better() -> None:
    """All in one namespace: between namespaces it is weights that count."""
    budgets = [a_budget(limits={"energy": f"{0.8 * free_kwh():.3f}kWh"})]
    together = replace(roles(budgets), namespaces=["a"] * 6)
    study = budget_study(a_stage(), budgets, together, origin_s=MONDAY_S, per_j={})
    free = tried("1MWh", (("calendar", "Day"),))
    lowest, highest = (missed(study, priority) - missed(free, priority) for priority in (0, 2))
    assert lowest > 0.05
    assert lowest > 2.0 * highest


def test_a_budget_that_observes_changes_nothing() -> None:
    free, observed = tried("1MWh", (("calendar", "Day"),)), tried("1kWh", (("calendar", "Day"),), "Observe")
    assert [one.spent for one in observed.periods] == [one.spent for one in free.periods]
    assert observed.outcome.missed.tolist() == free.outcome.missed.tolist()


def test_carbon_is_counted_as_it_comes() -> None:
    """The second day's power is twice as dirty."""
    budgets = [a_budget(limits={"carbon": "1t"})]
    per_j = np.repeat([1.0, 2.0], 24) * 1e-4
    dirty = budget_study(a_stage(), budgets, roles(budgets), origin_s=MONDAY_S, per_j={Limit.CARBON: per_j})
    plain = tried("1MWh", (("calendar", "Day"),))
    ratio = [mine.spent / theirs.spent for mine, theirs in zip(dirty.periods, plain.periods, strict=True)]
    assert ratio == pytest.approx([1e-4, 2e-4], rel=0.01)


# What is counted.


def a_grant(want: list[int], got: list[int], least: int = 1) -> Granted:
    return Granted(MONDAY_S, np.array(want), np.array(got), np.full(len(want), least), np.zeros(len(want)), ())


@pytest.mark.parametrize(
    ("got", "is_inverted"),
    [
        pytest.param([5, 5, 5], False, id="nobody loses"),
        pytest.param([5, 5, 2], False, id="the lowest loses"),
        pytest.param([5, 2, 1], False, id="the next one loses too"),
        pytest.param([5, 2, 2], True, id="the next one loses before the lowest has"),
        pytest.param([1, 5, 5], True, id="the highest alone"),
    ],
)
def test_an_inversion_is_seen(got: list[int], is_inverted: bool) -> None:
    own = Roles(["x", "y", "z"], ["a"] * 3, np.array([2, 1, 0]), {"u": np.arange(3)})
    assert inverted(a_grant([5, 5, 5], got), own, own.selected) is is_inverted
    apart = replace(own, namespaces=["a", "b", "c"])
    assert not inverted(a_grant([5, 5, 5], got), apart, own.selected)
    nobody = {"u": np.array([0]), "v": np.array([1, 2])}
    assert inverted(a_grant([5, 5, 5], got), own, nobody) is (is_inverted and got[1] < 5)


def test_what_is_over_and_what_is_lost() -> None:
    def one(spent: float, held: float) -> tuple[float, float]:
        period = PeriodSpent("b", Limit.ENERGY, 0.0, 100.0, spent, held, is_whole=True)
        return round(period.over_ratio, 6), round(period.lost_ratio, 6)

    assert one(103.0, 0.5) == (0.03, 0.0)
    assert one(90.0, 0.5) == (0.0, 0.1)
    assert one(90.0, 0.02) == (0.0, 0.02)
    assert one(90.0, 0.0) == (0.0, 0.0)


def test_a_tally_tells_a_rolling_period_in_parts() -> None:
    tally = Tally(1, rolling_s=PARTS * 10.0)
    for step in range(1, 61):
        tally.add(np.array([1.0]), MONDAY_S + 5.0 * step)
    parts = tally.spent(Span(MONDAY_S + 300.0 - PARTS * 10.0, MONDAY_S + 300.0))
    assert parts.shape == (PARTS, 1)
    assert parts[:, 0] == pytest.approx(np.full(PARTS, 2.0))


def test_a_tally_begins_anew_with_each_period() -> None:
    tally = Tally(1, rolling_s=None)
    tally.add(np.array([5.0]), MONDAY_S)
    assert tally.spent(Span(MONDAY_S, MONDAY_S + HOUR_S)).tolist() == [[0.0]]
    tally.add(np.array([7.0]), MONDAY_S + HOUR_S)
    assert tally.spent(Span(MONDAY_S, MONDAY_S + HOUR_S)).tolist() == [[7.0]]
    assert tally.spent(Span(MONDAY_S + HOUR_S, MONDAY_S + 2 * HOUR_S)).tolist() == [[0.0]]
    assert tally.closed == [(MONDAY_S, 7.0)]


# The command.


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    rows = [f"{60 * minute},{name},{40 + 20 * (minute % 7)}" for minute in range(240) for name in ("x", "y")]
    path = tmp_path / "trace.csv"
    path.write_text("seconds,series,requests\n" + "\n".join(rows) + "\n")
    return path


def budget_file(folder: Path, **spec: Any) -> Path:
    body = {"kind": "EnergyBudget", "metadata": {"name": "all"}, "spec": spec}
    path = folder / "budget.yaml"
    path.write_text(json.dumps(body))
    return path


def test_the_command_tries_budgets(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = budget_file(tmp_path, limits={"energy": "0.8kWh"}, period={"calendar": "Hour"}, enforcement="Enforce")
    models = tmp_path / "models.csv"
    models.write_text("series,namespace,priority\nx,team,1\ny,team,0\n")
    told = tmp_path / "told.json"
    arguments = ["--budget", str(budget), "--models", str(models), "--json", str(told), "--step", "60s"]
    assert main(["replay", str(trace), *arguments]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "800Wh" in shown
    assert "0 of 240 decisions took something" in shown
    (found,) = json.loads(told.read_text())
    assert [period["is_whole"] for period in found["periods"]] == [True] * 4
    assert [(row["namespace"], row["priority"]) for row in found["priorities"]] == [("team", 0), ("team", 1)]
    assert max(period["over_ratio"] for period in found["periods"]) <= 0.02


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param({"limits": {}}, "spec.limits", id="a budget that cannot be read"),
        pytest.param(
            {"limits": {"carbon": "1kg"}, "period": {"calendar": "Day"}}, "--carbon FILE", id="carbon without"
        ),
        pytest.param(
            {"limits": {"energy": "1kWh"}, "period": {"calendar": "Day", "timeZone": "Mars/Base"}},
            "no time zone",
            id="a zone that nobody knows",
        ),
    ],
)
def test_what_cannot_be_tried_is_told(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: dict[str, Any], says: str
) -> None:
    assert main(["replay", str(trace), "--budget", str(budget_file(tmp_path, **spec))]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--policy", "hpa"], ["--ablate"]])
def test_budgets_are_tried_on_lull_alone(trace: Path, option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", str(trace), "--budget", "b.yaml", *option])
    assert "does not go with --budget" in capsys.readouterr().err


def test_every_period_is_told() -> None:
    told = as_json("drawn", tried("1MWh", (("calendar", "Day"),)))
    assert [period["start"] for period in told["periods"]] == ["2026-01-05T00:00", "2026-01-06T00:00"]
    assert {row["namespace"] for row in told["priorities"]} == {"a", "b"}
