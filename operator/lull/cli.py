"""The command ``lull``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lull import __version__
from lull.commands import explain, operator, replay, wake


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    0: it did what it was asked. 1: it failed. 2: it was asked something wrong.
    """
    parser = argparse.ArgumentParser(prog="lull", description="Lets inference fleets rest.")
    parser.add_argument("--version", action="version", version=f"lull {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (operator, replay, explain, wake):
        command.add_to(commands)
    asked = parser.parse_args(argv)
    code: int = asked.run(asked)
    return code
