"""The command ``lull``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from lull import __version__
from lull.errors import LullError, SettingsError
from lull.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    0: it did what it was asked. 1: it failed. 2: it was asked something wrong.
    """
    parser = argparse.ArgumentParser(prog="lull", description="Lets inference fleets rest.")
    parser.add_argument("--version", action="version", version=f"lull {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "operator",
        help="run the operator (what the chart starts)",
        description="Runs the operator. Its settings are environment variables, LULL_PROMETHEUS_URL first of all.",
    )
    parser.parse_args(argv)
    return _operator()


def _operator() -> int:
    try:
        settings = Settings.from_env(os.environ)
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
        asyncio.run(run(settings))
    except* LullError as group:
        for failure in group.exceptions:
            print(f"lull: {failure}", file=sys.stderr)
        code = 1
    return code
