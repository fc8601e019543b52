"""``lull operator``: what the chart starts."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Coroutine
from typing import Any, Final

from lull.errors import LullError, SettingsError
from lull.settings import Settings

_LEAVE_S: Final = 5.0
"""Longest wait for what is left once the operator has ended and given its Lease back: parts of kopf may wait for each
other for ever when all of them are cancelled, and the process would neither act nor begin anew."""


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
    return _lived(run(settings, seat))


def _lived(life: Coroutine[Any, Any, None]) -> int:
    """Runs it to its end; returns the exit code."""
    code = 0
    leave = threading.Timer(_LEAVE_S, lambda: os._exit(code))
    leave.daemon = True

    async def to_its_end() -> None:
        nonlocal code
        try:
            await life
        except* LullError as group:
            code = 1
            for failure in group.exceptions:
                print(f"lull: {failure}", file=sys.stderr, flush=True)
        except* Exception:
            code = 1
            traceback.print_exc()
        finally:
            leave.start()

    try:
        asyncio.run(to_its_end())
    finally:
        leave.cancel()
    return code
