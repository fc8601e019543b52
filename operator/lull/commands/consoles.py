"""Standard output for tables: as wide as the terminal, and of a fixed width where there is none."""

from __future__ import annotations

from rich.console import Console

from lull.replay.table import WIDTH


def out() -> Console:
    """The console."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)
