"""``lull replay --budget``: what EnergyBudgets would have made of recorded traffic."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lull.commands.arguments import duration_s
from lull.errors import SpecError, TraceError

if TYPE_CHECKING:
    from lull.model.arrays import F64
    from lull.model.budget import EnergyBudget, Limit
    from lull.replay.budget_study import BudgetStudy
    from lull.replay.options import Options
    from lull.replay.policies.budgeted import Roles
    from lull.replay.trace import Trace

_PATIENCE_S: Final = 60.0
_STARTS: Final = datetime(2026, 1, 5, tzinfo=UTC)
_J_PER_KWH: Final = 3.6e6
_J_PER_MWH: Final = 3.6e9


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument_group(
        "budgets",
        "With --budget, Lull alone lives through the whole trace, under the EnergyBudgets of the file.",
    ).add_argument
    add("--budget", type=Path, metavar="FILE", help="EnergyBudgets as kubectl applies them, YAML")
    add("--models", type=Path, metavar="FILE", help="CSV of series,namespace,priority (default: all alike)")
    add("--carbon", type=Path, metavar="FILE", help="CSV of seconds,gco2_per_kwh by hours from the trace's start")
    add("--price", type=Path, metavar="FILE", help="CSV of seconds,eur_per_mwh by hours from the trace's start")
    add("--starts", type=_moment, default=_STARTS, metavar="TIME", help=f"when the trace begins (default: {_told()})")
    add("--patience", type=duration_s, metavar="TIME", help="a request goes away after it (default: 60s)")


def check(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Refuses what does not go together."""
    if asked.budget is None:
        for name in ("models", "carbon", "price", "patience"):
            if getattr(asked, name) is not None:
                parser.error(f"--{name} needs --budget")
        return
    for name in ("policy", "ablate", "html", "from_prometheus"):
        if getattr(asked, name):
            parser.error(f"--{name.replace('_', '-')} does not go with --budget")


def run(asked: argparse.Namespace, options: Options, traces: Sequence[Trace]) -> None:
    """Lives through each trace and tells.

    Raises:
        SpecError: when a budget cannot be read.
        TraceError: when a trace cannot be studied, or a file of series or rates not be read.
    """
    from dataclasses import replace

    from lull.commands.consoles import out
    from lull.commands.progress import shown
    from lull.replay.budget_study import budget_study
    from lull.replay.budget_table import as_json, table
    from lull.replay.stage import Stage

    budgets, per_j = _budgets(asked.budget), _rates(asked)
    _need_rates(budgets, per_j)
    physics = replace(options.physics, patience_s=asked.patience or _PATIENCE_S)
    told: list[tuple[str, BudgetStudy]] = []
    with shown([trace.name for trace in traces]) as bars:
        for trace, bar in zip(traces, bars, strict=True):
            stage = Stage.of(trace, replace(options, physics=physics))
            roles = _roles(stage.series, asked.models, budgets)
            study = budget_study(stage, budgets, roles, origin_s=asked.starts.timestamp(), per_j=per_j, tell=bar)
            told.append((trace.name, study))
    console = out()
    for name, study in told:
        console.print(table(name, study))
    if asked.json:
        asked.json.write_text(json.dumps([as_json(name, study) for name, study in told], indent=2), encoding="utf-8")


def _budgets(path: Path) -> list[EnergyBudget]:
    import yaml

    from lull.adapters.zones import zone
    from lull.model.budget import parse_budget

    try:
        bodies = [body for body in yaml.safe_load_all(path.read_text(encoding="utf-8")) if body]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as YAML: {error}") from error
    found = []
    for body in bodies:
        metadata = body.get("metadata") if isinstance(body, dict) else None
        if not isinstance(metadata, dict) or body.get("kind") != "EnergyBudget" or "name" not in metadata:
            raise SpecError(f"{path}: write EnergyBudgets with a metadata.name, such as those that kubectl applies")
        metadata.setdefault("uid", metadata["name"])
        found.append(parse_budget(_as_api(body), zone))
    if not found or len({budget.uid for budget in found}) < len(found):
        raise SpecError(f"{path}: write at least one EnergyBudget, each with a name of its own")
    return found


def _as_api(value: Any) -> Any:
    """As the API server would hand it on: YAML has moments, JSON their text."""
    if isinstance(value, dict):
        return {name: _as_api(child) for name, child in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value


def _roles(series: Sequence[str], path: Path | None, budgets: Sequence[EnergyBudget]) -> Roles:
    import numpy as np

    from lull.model.spec import Key
    from lull.replay.policies.budgeted import Roles

    told = {} if path is None else {row["series"]: row for row in _rows(path, ("series", "namespace", "priority"))}
    namespaces = [told[name]["namespace"] if name in told else "default" for name in series]
    try:
        priority = [int(told[name]["priority"]) if name in told else 0 for name in series]
    except ValueError as error:
        raise TraceError(f"{path}: a priority is no whole number: {error}") from error
    selected = {
        budget.uid: np.array(
            [row for row, name in enumerate(series) if budget.is_for(Key(namespaces[row], name), {})], dtype=np.int64
        )
        for budget in budgets
    }
    return Roles(series, namespaces, np.array(priority, dtype=np.int64), selected)


def _rates(asked: argparse.Namespace) -> dict[Limit, F64]:
    from lull.model.budget import Limit

    found = {}
    for path, limit, column, joules in (
        (asked.carbon, Limit.CARBON, "gco2_per_kwh", _J_PER_KWH),
        (asked.price, Limit.COST, "eur_per_mwh", _J_PER_MWH),
    ):
        if path is not None:
            found[limit] = _by_hour(path, column) / joules
    return found


def _by_hour(path: Path, column: str) -> F64:
    """Values by hours from 0 on; an hour that is not written has the one before it."""
    import numpy as np

    rows = _rows(path, ("seconds", column))
    try:
        told = {int(float(row["seconds"]) // 3600.0): float(row[column]) for row in rows}
    except ValueError as error:
        raise TraceError(f"{path}: a value is no number: {error}") from error
    if not told:
        raise TraceError(f"{path}: holds no row of seconds,{column}")
    hours, values = np.array(sorted(told)), np.array([told[hour] for hour in sorted(told)])
    at = np.clip(np.searchsorted(hours, np.arange(hours[-1] + 1), side="right") - 1, 0, None)
    found: F64 = values[at]
    return found


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        reader = csv.DictReader(file)
        lacking = [name for name in columns if name not in (reader.fieldnames or ())]
        if lacking:
            raise TraceError(f"{path}: has no column {lacking[0]!r}; write {','.join(columns)}")
        return list(reader)


def _need_rates(budgets: Sequence[EnergyBudget], per_j: Mapping[Limit, F64]) -> None:
    from lull.model.budget import Limit

    options = {Limit.CARBON: "--carbon", Limit.COST: "--price"}
    for budget in budgets:
        for limit in budget.amounts:
            if limit in options and limit not in per_j:
                raise SpecError(
                    f"EnergyBudget {budget.name} has a limit of {limit.lower()}: give {options[limit]} FILE"
                )


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write one such as 2026-01-05T00:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _told() -> str:
    return f"{_STARTS:%Y-%m-%d}"
