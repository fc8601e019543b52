"""The rows of a trace file: CSV, gzip or plain, checked value by value. Called by ``replay.trace``.

Of the outside it knows only the file it is given. Every refusal names the file, the line, the value and the mend.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Final

import numpy as np

from lull.errors import TraceError
from lull.model.arrays import F64, I64, Bools

TICKS_PER_S: Final = 1000
"""Bins are told apart in whole milliseconds."""

_LATEST_S: Final = 1e11  # above it lie clocks in milliseconds
_TICK_SLACK: Final = 0.01  # what the nearest float64 may be off, a hundred years after 1970
_GZIP: Final = b"\x1f\x8b"
_ROWS_AT_ONCE: Final = 4096  # more of them alive at once keep the garbage collector busy


@dataclass(frozen=True, slots=True)
class Rows:
    """What a file says, one element a row, in its order."""

    series: tuple[str, ...]
    """Names, sorted, (N,)."""
    ticks: I64
    """Starts of the bins in milliseconds."""
    place: I64
    """Place of the row's series among the names."""
    requests: F64


def read_rows(path: Path, only_series: str) -> Rows:
    """Reads ``seconds,requests`` or ``seconds,series,requests``, whatever columns are beside them.

    Args:
        path: the file; what it is, gzip or plain, is seen by its first bytes.
        only_series: name of the series of a file that has no column for it.

    Raises:
        TraceError: when the file cannot be read, has no rows, or one of them cannot be understood.
    """
    met: dict[str, int] = {}
    try:
        with path.open("rb") as raw, _plain(raw) as plain, io.TextIOWrapper(plain, "utf-8-sig", newline="") as text:
            parts = [part.columns(only_series, met) for part in _parts(path, text)]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        told = getattr(error, "strerror", None) or error
        raise TraceError(f"{path}: {told}; give a CSV file, plain or gzip, in UTF-8") from error
    if not met:
        raise TraceError(f"{path}: no row below the header; a trace needs at least two bins")
    seconds, appeared, requests = (np.concatenate(column) for column in zip(*parts, strict=True))
    names = sorted(met)
    place = np.empty(len(names), dtype=np.int64)
    place[[met[name] for name in names]] = np.arange(len(names))
    ticks = np.rint(seconds * TICKS_PER_S).astype(np.int64)
    return Rows(tuple(names), ticks, place[appeared], requests)


def _plain(raw: io.BufferedReader) -> gzip.GzipFile | io.BufferedReader:
    return gzip.GzipFile(fileobj=raw) if raw.peek(len(_GZIP)).startswith(_GZIP) else raw


def _parts(path: Path, text: io.TextIOBase) -> Iterator[_Part]:
    """The file, some thousand rows at a time."""
    reader = csv.reader(text, skipinitialspace=True)
    header = _header(path, next(reader, None))
    above = reader.line_num
    while rows := list(islice(reader, _ROWS_AT_ONCE)):
        yield _Part(path, header, above, rows)
        above = reader.line_num


def _header(path: Path, names: Sequence[str] | None) -> list[str]:
    if names is None:
        raise TraceError(f"{path}: the file is empty; a trace begins with the line seconds,requests")
    header = [name.strip() for name in names]
    for wanted in ("seconds", "requests"):
        if wanted not in header:
            raise TraceError(
                f"{path}, line 1: no column {wanted!r} among {', '.join(header)!r}; a trace of requests has the columns"
                " seconds,requests or seconds,series,requests"
            )
    if len(set(header)) < len(header):
        raise TraceError(f"{path}, line 1: {', '.join(header)!r} has a name twice; give every column its own")
    return header


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of the file as they are written; an empty line is an empty row."""

    path: Path
    header: Sequence[str]
    lines_above: int
    rows: Sequence[Sequence[str]]

    def columns(self, only_series: str, met: dict[str, int]) -> tuple[F64, I64, F64]:
        """Seconds, series in the order of appearance, requests; `met` grows by the series."""
        rows = [row for row in self.rows if row]
        if not rows:
            return np.empty(0), np.empty(0, dtype=np.int64), np.empty(0)
        for row, values in enumerate(rows):
            if len(values) != len(self.header):
                raise TraceError(
                    f"{self.path}, line {self._line(row)}: {len(self.header)} columns, but {len(values)} in this row;"
                    " write a value for each, and quote what has a comma in it"
                )
        texts = dict(zip(self.header, zip(*rows, strict=True), strict=True))
        seconds = self._numbers("seconds", texts["seconds"])
        is_off = np.abs(seconds * TICKS_PER_S - np.rint(seconds * TICKS_PER_S)) > _TICK_SLACK
        self._refuse(seconds >= _LATEST_S, "seconds", texts["seconds"], "write seconds, not parts of them")
        self._refuse(is_off, "seconds", texts["seconds"], "write the start of its bin, in whole milliseconds")
        series = texts.get("series", (only_series,) * len(rows))
        self._refuse(np.array([not name for name in series]), "series", series, "name the series")
        places = np.array([met.setdefault(name, len(met)) for name in series], dtype=np.int64)
        return seconds, places, self._numbers("requests", texts["requests"])

    def _numbers(self, column: str, texts: Sequence[str]) -> F64:
        numbers = np.fromiter(map(_number, texts), dtype=np.float64, count=len(texts))
        mend = "write a number, or leave the row out where nothing arrived"
        self._refuse(~np.isfinite(numbers), column, texts, mend)
        self._refuse(numbers < 0.0, column, texts, "write 0 or more")
        return numbers

    def _refuse(self, is_bad: Bools, column: str, texts: Sequence[str], mend: str) -> None:
        if is_bad.any():
            row = int(np.argmax(is_bad))
            raise TraceError(f"{self.path}, line {self._line(row)}: {column} is {texts[row]!r}; {mend}")

    def _line(self, row: int) -> int:
        """Line on which a row that is not empty ends: a quoted value may span several."""
        lines = accumulate((1 + sum(text.count("\n") for text in row) for row in self.rows), initial=self.lines_above)
        return [line for line, values in zip(islice(lines, 1, None), self.rows, strict=True) if values][row]


def _number(text: str) -> float:
    """NaN for what is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
