"""``lull activator``: what the chart starts where requests wait for sleeping models."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Any

from lull.errors import SettingsError


def add_to(commands: Any) -> None:
    """Makes the command known."""
    parser = commands.add_parser(
        "activator",
        help="hold requests for sleeping models (what the chart starts)",
        description="Holds requests for sleeping models until a pod is ready. Its settings are environment variables, "
        "POD_NAME, POD_UID and POD_IP first of all. Told to end, it serves until nobody is sent to it any more.",
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    from lull.activator.settings import ActivatorSettings

    try:
        settings = ActivatorSettings.from_env(os.environ)
    except SettingsError as error:
        for fault in error.faults:
            print(f"lull: {fault}", file=sys.stderr)
        return 2
    # Imported only now, so that --help, --version and a wrong setting are answered at once.
    from lull.activator.run import run
    from lull.runtime.logs import set_up

    set_up(settings)
    asyncio.run(run(settings))
    return 0
