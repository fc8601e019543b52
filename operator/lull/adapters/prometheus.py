"""Prometheus: one instant query per signal for the whole fleet, in a small pool of threads.

The client library has no timeout by default, retries on its own and drops the warnings that mark a partial answer;
the small subclass here sets the first, forbids the second and keeps the third.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import requests
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from lull.errors import BadAnswer, LullError, Unreachable
from lull.model.arrays import F64

Name = TypeVar("Name", bound=Hashable)
Given = TypeVar("Given")

_THREADS: Final = 4

_QUEUED: Final = 3.0
"""Timeouts after which an answer is given up, its time in the queue for a thread included."""

_SHRUNK: Final = 0.5
"""An answer with fewer rows than this share of the previous one's is taken as partial, once."""

_FEW_ROWS: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One series of an instant vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of one query; values that are no number are left out."""

    rows: Sequence[Row]
    doubt: str | None = None
    """Why rows may be missing, if they may."""


@dataclass(frozen=True, slots=True)
class Track:
    """One series of a range: its points in order."""

    labels: Mapping[str, str]
    times_s: F64
    """Seconds since the epoch, (T,)."""
    values: F64


class _Points(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Sample(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815 - Prometheus' own word
    result: Any


class _Reply(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str | None = None
    warnings: list[str] = []


class _Connection(PrometheusConnect):  # type: ignore[misc]  # the library is untyped
    """The library's connection, asked for the whole reply."""

    def reply(self, call: str, params: Mapping[str, str]) -> _Reply:
        answer = self._session.request(
            method="GET",
            url=f"{self.url}/api/v1/{call}",
            params=params,
            headers=self.headers,
            auth=self.auth,
            timeout=self._timeout,
        )
        try:
            return msgspec.json.decode(answer.content, type=_Reply)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            start = answer.content[:80].decode(errors="replace")
            raise BadAnswer(f"HTTP {answer.status_code} and no Prometheus answer ({start!r})") from error


class Prometheus:
    """Reads instant vectors.

    Args:
        url: base URL of the endpoint.
        timeout_s: seconds one query may take.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="prometheus")
        self._row_counts: dict[Hashable, int] = {}

    async def read(self, queries: Mapping[Name, str]) -> dict[Name, Answer | LullError]:
        """Answers by the queries' names; a query that failed has its error in place of an answer."""
        loop = asyncio.get_running_loop()
        names = list(queries)
        asked = [loop.run_in_executor(self._pool, self._ask, queries[name]) for name in names]
        answers = await asyncio.gather(*(self._within(answer) for answer in asked), return_exceptions=True)
        found: dict[Name, Answer | LullError] = {}
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Answer):
                found[name] = self._doubted(name, answer)
            elif isinstance(answer, LullError):
                found[name] = answer
            else:
                raise answer
        return found

    async def read_ranges(
        self, queries: Mapping[Name, str], start_s: float, end_s: float, step_s: float
    ) -> dict[Name, list[Track] | LullError]:
        """Series over a stretch of time by the queries' names, one query after the other; an error where one failed.

        An answer that Prometheus itself calls partial is an error: what it lacks would be learned as silence.
        """
        loop = asyncio.get_running_loop()
        span = {"start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": f"{step_s:g}"}
        found: dict[Name, list[Track] | LullError] = {}
        for name, query in queries.items():
            try:
                found[name] = await self._within(loop.run_in_executor(self._pool, self._ask_range, query, span))
            except LullError as error:
                found[name] = error
        return found

    async def read_samples(self, queries: Mapping[Name, str], at_s: float) -> dict[Name, list[Track] | LullError]:
        """Raw samples with the moments of their scrapes, by the queries' names; an error where one failed.

        Each query is a range selector. Where Prometheus itself calls an answer partial, that is an error: what it
        lacks would be taken for a gap.
        """
        loop = asyncio.get_running_loop()
        asked = [loop.run_in_executor(self._pool, self._ask_samples, query, at_s) for query in queries.values()]
        answers = await asyncio.gather(*(self._within(answer) for answer in asked), return_exceptions=True)
        found: dict[Name, list[Track] | LullError] = {}
        for name, answer in zip(queries, answers, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, LullError):
                raise answer
            found[name] = answer
        return found

    async def _within(self, answer: asyncio.Future[Given]) -> Given:
        # The library's timeout bounds each read of the socket; a peer that drips bytes would never meet it.
        limit_s = _QUEUED * self._timeout_s
        try:
            return await asyncio.wait_for(answer, limit_s)
        except TimeoutError:
            raise Unreachable(f"Prometheus at {self._url} gave no whole answer within {limit_s:g} s") from None

    def close(self) -> None:
        """Lets the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, query: str) -> Answer:
        data, doubt = self._data("query", {"query": query})
        return Answer(_rows(data, query), doubt=doubt)

    def _ask_samples(self, query: str, at_s: float) -> list[Track]:
        return self._whole("query", {"query": query, "time": f"{at_s:.3f}"})

    def _ask_range(self, query: str, span: Mapping[str, str]) -> list[Track]:
        return self._whole("query_range", {"query": query, **span})

    def _whole(self, call: str, params: Mapping[str, str]) -> list[Track]:
        data, doubt = self._data(call, params)
        if doubt is not None:
            raise BadAnswer(f"Prometheus at {self._url} warns: {doubt}; the query was {params['query']}")
        return _tracks(data, params["query"])

    def _data(self, call: str, params: Mapping[str, str]) -> tuple[_Data, str | None]:
        """What Prometheus answered, and its doubt about that."""
        try:
            reply = self._connection().reply(call, params)
        except requests.RequestException as error:
            raise Unreachable(
                f"Prometheus at {self._url} gave no answer within {self._timeout_s:g} s: {_cause(error)}"
            ) from error
        except BadAnswer as error:
            raise BadAnswer(f"Prometheus at {self._url} answered {error}") from error
        if reply.status != "success" or reply.data is None:
            raise BadAnswer(
                f"Prometheus at {self._url} answered an error: {reply.error}; the query was {params['query']}"
            )
        return reply.data, "; ".join(reply.warnings) or None

    def _connection(self) -> _Connection:
        # A requests session is not made for several threads at once.
        if not hasattr(self._local, "connection"):
            self._local.connection = _Connection(
                url=self._url, timeout=self._timeout_s, retry=Retry(total=0, redirect=0, raise_on_status=False)
            )
        connection: _Connection = self._local.connection
        return connection

    def _doubted(self, name: Hashable, answer: Answer) -> Answer:
        before = self._row_counts.get(name, 0)
        self._row_counts[name] = len(answer.rows)
        if answer.doubt is None and before >= _FEW_ROWS and len(answer.rows) < _SHRUNK * before:
            return Answer(answer.rows, doubt=f"{len(answer.rows)} series where there were {before} a moment ago")
        return answer


def _rows(data: _Data, query: str) -> list[Row]:
    try:
        if data.resultType == "scalar":
            _, value = msgspec.convert(data.result, tuple[float, str])
            samples = [_Sample({}, (0.0, value))]
        elif data.resultType == "vector":
            samples = msgspec.convert(data.result, list[_Sample])
        else:
            raise BadAnswer(
                f"Prometheus answered a {data.resultType}; the query must give a vector or a scalar: {query}"
            )
        rows = [Row(sample.metric, float(sample.value[1])) for sample in samples]
    except (msgspec.ValidationError, ValueError) as error:
        raise BadAnswer(f"Prometheus answered values that cannot be read ({error}); the query was {query}") from error
    return [row for row in rows if math.isfinite(row.value)]


def _tracks(data: _Data, query: str) -> list[Track]:
    try:
        if data.resultType != "matrix":
            raise BadAnswer(f"Prometheus answered a {data.resultType} where a matrix was asked for: {query}")
        found = []
        for series in msgspec.convert(data.result, list[_Points]):
            points = np.array([(at_s, float(value)) for at_s, value in series.values], dtype=np.float64).reshape(-1, 2)
            found.append(Track(series.metric, points[:, 0], points[:, 1]))
    except (msgspec.ValidationError, ValueError) as error:
        raise BadAnswer(f"Prometheus answered values that cannot be read ({error}); the query was {query}") from error
    return found


def _cause(error: BaseException) -> str:
    """The innermost cause: the library wraps a refused connection in four layers of itself."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
