"""The status of an EnergyBudget fits its CRD, and what is unknown is not in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from budgets import HOUR_S, MONDAY_S, WH, a_budget, a_fleet, a_view
from lull.decide.budget import pace
from lull.model.budget import EnergyBudget, Limit
from lull.model.spending import BudgetPlan, BudgetView
from lull.render.budget_status import budget_status_of

CRD = yaml.safe_load((Path(__file__).parents[2] / "crds" / "energybudgets.yaml").read_text())
STATUS = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
NOW, LATER = "2026-01-05T12:00:00Z", "2026-01-05T12:00:10Z"


def concluded(budget: EnergyBudget, **view: Any) -> BudgetPlan:
    seen = BudgetView(budget, None) if not view else a_view(budget, 2, **view)
    fleet = a_fleet([5, 5], sd_w=5.0, budgets=[budget])
    return pace(fleet, [seen], {}, MONDAY_S + 12 * HOUR_S)[0].plans[0]


def closed(node: Any) -> Any:
    """The schema with unknown names refused."""
    if not isinstance(node, dict):
        return node
    out = {k: {n: closed(c) for n, c in v.items()} if k == "properties" else closed(v) for k, v in node.items()}
    return out | {"additionalProperties": False} if "properties" in out else out


@pytest.mark.parametrize(
    ("budget", "view"),
    [
        pytest.param(a_budget(), {"spent": [18_000 * WH, 0.0]}, id="paced"),
        pytest.param(a_budget(), {"spent": [25_000 * WH, 0.0]}, id="exhausted"),
        pytest.param(a_budget(), {}, id="unknown"),
        pytest.param(a_budget(limits={"power": "500W"}, period=None), {}, id="power"),
        pytest.param(a_budget(period={"rolling": "10h"}), {"spent": [1_000 * WH, 0.0]}, id="rolling"),
    ],
)
def test_a_status_fits_the_crd(budget: EnergyBudget, view: dict[str, Any]) -> None:
    status = budget_status_of(concluded(budget, **view), before={}, now=NOW)
    jsonschema.Draft7Validator(closed(STATUS)).validate(status)
    assert len(status["conditions"]) == 5


def test_a_budget_tells_itself_at_a_glance() -> None:
    status = budget_status_of(concluded(a_budget(enforcement="Warn"), spent=[18_000 * WH, 0.0]), before={}, now=NOW)
    assert (status["used"], status["expected"], status["exhaustedAt"]) == ("75%", "125%", "2026-01-05T18:00:00Z")
    assert status["period"] == {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}
    (energy,) = status["limits"]
    assert (energy["limit"], energy["amount"], energy["spent"], energy["forecast"]) == (
        "Energy",
        "24kWh",
        "18kWh",
        "30kWh",
    )
    assert status["power"]["now"] == "1000W"


def test_what_is_unknown_is_left_out() -> None:
    status = budget_status_of(concluded(a_budget()), before={}, now=NOW)
    assert status["limits"] == [{"limit": str(Limit.ENERGY), "amount": "24kWh"}]
    assert not {"used", "expected", "exhaustedAt", "measuredShare", "coverage"} & set(status)


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    first = budget_status_of(concluded(a_budget(), spent=[0.0, 0.0]), before={}, now=NOW)
    then = budget_status_of(concluded(a_budget(), spent=[25_000 * WH, 0.0]), before=first, now=LATER)
    since = {c["type"]: c["lastTransitionTime"] for c in then["conditions"]}
    assert since == {
        "WithinBudget": LATER,
        "Pacing": LATER,
        "Exhausted": LATER,
        "Infeasible": LATER,
        "Enforcing": NOW,
    }
    assert np.isfinite(concluded(a_budget(), spent=[0.0, 0.0]).power_w)
