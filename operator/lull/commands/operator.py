"""``lull operator``: what the chart starts."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Any

from lull.errors import LullError, SettingsError
from lull.settings import Settings


def add_to(commands: Any) -> None:
    """Makes the command known."""
    parser = commands.add_parser(
        "operator",
        help="run the operator (what the chart starts)",
        description="Runs the operator. Its settings are environment variables, LULL_PROMETHEUS_URL first of all. Of "
        "several replicas the one that holds a Lease acts, and the others stand by.",
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    from lull.runtime.seat import Seat

    try:
        settings = Settings.from_env(os.environ)
        seat = Seat.from_env(os.environ) if settings.leader_election else None
    except SettingsError as error:
        for fault in error.faults:
            print(f"lull: {fault}", file=sys.stderr)
        return 2
    # Imported only now, so that --help, --version and a wrong setting are answered at once.
    from lull.runtime.logs import set_up
    from lull.runtime.operator import run

    set_up(settings)
    code = 0
    try:
        asyncio.run(run(settings, seat))
    except* LullError as group:
        for failure in group.exceptions:
            print(f"lull: {failure}", file=sys.stderr)
        code = 1
    return code
