"""Speed and memory, measured: `make bench` prints a table and writes build/bench.json.

Every entry is {name, value, unit, bar, holds}; names start with their area. Nothing here is asserted by a test:
machines are shared and noisy. Where a bar is a ratio, both sides were measured in the same run. All of it runs on one
thread, but for the replay, which is measured as its user meets it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from budgeting import budgeting
from figures import Figure
from forecasting import forecasting
from holding import holding
from ledgers import ledger
from mirroring import mirroring
from planning import planning, sizing
from repairing import repairing
from replaying import replaying
from rich.console import Console
from rich.table import Table
from waking import waking

BUILD = Path(__file__).resolve().parents[2] / "build"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    asked = _arguments()
    if not ONE_THREAD.items() <= os.environ.items():
        # numpy's library reads these when it is loaded, which has happened by now.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)  # noqa: S606
    areas: dict[str, Callable[[], list[Figure]]] = {
        "forecast": forecasting,
        "planning": planning,
        "sizing": sizing,
        "budgets": budgeting,
        "mirror": mirroring,
        "routes": repairing,
        "hold": holding,
        "wake": waking,
        "ledger": ledger,
        "replay": lambda: replaying(whole=asked.all),
    }
    figures = [figure for name, measure in areas.items() if asked.area in (None, name) for figure in measure()]
    Console().print(_table(figures))
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps([asdict(f) | {"holds": f.holds} for f in figures], indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures speed and memory.")
    parser.add_argument("--all", action="store_true", help="replay a whole fortnight, not a tenth: some minutes")
    parser.add_argument(
        "--area",
        choices=("forecast", "planning", "sizing", "budgets", "mirror", "hold", "wake", "routes", "ledger", "replay"),
        help="only this one",
    )
    return parser.parse_args()


def _table(figures: list[Figure]) -> Table:
    table = Table("figure", "value", "unit", "bar", "holds")
    for figure in figures:
        holds = {True: "[green]yes", False: "[red]no", None: ""}[figure.holds]
        table.add_row(
            figure.name, f"{figure.value:.3g}", figure.unit, "" if figure.bar is None else f"{figure.bar:g}", holds
        )
    return table


if __name__ == "__main__":
    main()
