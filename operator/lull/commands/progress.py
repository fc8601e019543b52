"""Progress bars of long work, on standard error, and only where a person looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lull.replay.jobs import Tell


@contextmanager
def shown(names: Sequence[str]) -> Iterator[list[Tell]]:
    """A bar for each piece of work; each is told the share done since it was told last."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield [partial(progress.advance, progress.add_task(name, total=1.0)) for name in names]
