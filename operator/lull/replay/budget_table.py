"""What budgets made of a trace, in the terminal and as JSON. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lull.decide.budget_words import amount_of
from lull.replay.budget_study import BudgetStudy
from lull.replay.words import percent


def table(name: str, study: BudgetStudy) -> RenderableType:
    """Periods, then who was held back."""
    return Group(Text(name, style="bold"), _periods(study), _priorities(study), Text(_sentence(study)))


def as_json(name: str, study: BudgetStudy) -> dict[str, Any]:
    """The same figures by name; amounts are in joules, grams and the tariff's currency."""
    return {
        "trace": name,
        "periods": [
            {
                "budget": period.budget,
                "limit": str(period.limit),
                "start": _time(period.start_s),
                "amount": period.amount,
                "spent": period.spent,
                "over_ratio": period.over_ratio,
                "lost_ratio": period.lost_ratio,
                "held_ratio": period.held_ratio,
                "is_whole": period.is_whole,
            }
            for period in study.periods
        ],
        "priorities": _by_priority(study),
        "inversions": study.inversions,
        "decisions": study.decisions,
    }


def _periods(study: BudgetStudy) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("budget", "limit", "from"):
        grid.add_column(heading, no_wrap=True)
    for heading in ("amount", "spent", "over", "held back", "lost"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for period in study.periods:
        grid.add_row(
            period.budget,
            str(period.limit),
            _time(period.start_s) + ("" if period.is_whole else " (part)"),
            amount_of(period.limit, period.amount),
            percent(period.spent / period.amount),
            percent(period.over_ratio),
            percent(period.held_ratio),
            percent(period.lost_ratio),
        )
    return grid


def _priorities(study: BudgetStudy) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    grid.add_column("namespace", no_wrap=True)
    for heading in ("priority", "series", "missed"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for row in _by_priority(study):
        grid.add_row(row["namespace"], str(row["priority"]), str(row["series"]), percent(row["missed_ratio"]))
    return grid


def _by_priority(study: BudgetStudy) -> list[dict[str, Any]]:
    roles, outcome = study.roles, study.outcome
    found = []
    for namespace, priority in sorted(set(zip(roles.namespaces, roles.priority.tolist(), strict=True))):
        own = (np.array(roles.namespaces, dtype=object) == namespace) & (roles.priority == priority)
        requests = float(outcome.requests[own].sum())
        missed = float(outcome.missed[own].sum())
        ratio = missed / requests if requests else 0.0
        found.append({"namespace": namespace, "priority": priority, "series": int(own.sum()), "missed_ratio": ratio})
    return found


def _sentence(study: BudgetStudy) -> str:
    whole = [period for period in study.periods if period.is_whole]
    if not whole:
        return "No period lies within the trace as a whole."
    over, lost = max(period.over_ratio for period in whole), max(period.lost_ratio for period in whole)
    return (
        f"Of {len(whole)} whole periods the worst went {percent(over)} over; at most {percent(lost)} of an amount was "
        f"left over while work was held back. {study.inversions} of {study.decisions} decisions took something from a "
        "model while one of lower priority had more than its least."
    )


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M")
