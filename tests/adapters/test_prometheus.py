"""Prometheus over a real socket: what it answers well, and every way in which it does not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loopback import Reply, Request, failure, serve, success, vector
from lull.adapters.prometheus import Answer, Prometheus, Row
from lull.errors import BadAnswer, LullError, Unreachable

A, B = {"pod": "a"}, {"pod": "b"}


@contextmanager
def reader(url: str, timeout_s: float = 5.0) -> Iterator[Callable[..., dict[str, Answer | LullError]]]:
    """Reads named queries; one client for as long as the block lasts."""
    prometheus = Prometheus(url, timeout_s)
    try:
        yield lambda **queries: asyncio.run(prometheus.read(queries))
    finally:
        prometheus.close()


def answer_to(reply: Reply, timeout_s: float = 5.0) -> Answer | LullError:
    with serve(lambda _: reply) as peer, reader(peer.url, timeout_s) as read:
        return read(q="up")["q"]


def rows_of(answer: Answer | LullError) -> list[Row]:
    assert isinstance(answer, Answer), answer
    return list(answer.rows)


def test_a_vector_gives_its_rows() -> None:
    answer = answer_to(vector((A, "1.5"), (B, "0")))
    assert rows_of(answer) == [Row(A, 1.5), Row(B, 0.0)]
    assert isinstance(answer, Answer)
    assert answer.doubt is None


def test_a_scalar_is_one_row_without_labels() -> None:
    assert rows_of(answer_to(success("scalar", [1700000000.5, "42"]))) == [Row({}, 42.0)]


def test_an_empty_vector_has_no_rows() -> None:
    assert rows_of(answer_to(vector())) == []


@pytest.mark.parametrize("value", ["NaN", "Nan", "+Inf", "-Inf"])
def test_what_is_no_number_is_left_out(value: str) -> None:
    assert rows_of(answer_to(vector((A, value), (B, "2")))) == [Row(B, 2.0)]


@pytest.mark.parametrize("value", ["1e3", "0.000001", "-3", "1.7976931348623157e+308"])
def test_numbers_in_every_spelling(value: str) -> None:
    assert rows_of(answer_to(vector((A, value)))) == [Row(A, float(value))]


def test_a_timestamp_may_be_whole() -> None:
    assert rows_of(answer_to(success("vector", [{"metric": {}, "value": [1700000000, "7"]}]))) == [Row({}, 7.0)]


def test_warnings_are_doubt() -> None:
    answer = answer_to(vector((A, "1"), warnings=["remote read failed", "store gone"]))
    assert isinstance(answer, Answer)
    assert answer.doubt == "remote read failed; store gone"


def test_hints_about_the_query_are_no_doubt() -> None:
    """Prometheus 3 tells 'infos' such as "metric might not be a counter"; nothing is missing then."""
    answer = answer_to(vector((A, "1"), infos=["metric might not be a counter"]))
    assert isinstance(answer, Answer)
    assert answer.doubt is None


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        pytest.param(failure(422, "many-to-many matching"), BadAnswer, "many-to-many matching", id="422"),
        pytest.param(failure(400, "parse error at char 7"), BadAnswer, "parse error", id="400"),
        pytest.param(failure(503, "query timed out", "timeout"), BadAnswer, "query timed out", id="503 by Prometheus"),
        pytest.param(Reply(b"<html>Sign in</html>", 200, "text/html"), BadAnswer, "Sign in", id="a login page"),
        pytest.param(Reply(b"upstream down", 503, "text/plain"), BadAnswer, "HTTP 503", id="503 by a proxy"),
        pytest.param(Reply(b'{"status":"succ'), BadAnswer, "no Prometheus answer", id="half a document"),
        pytest.param(Reply(b""), BadAnswer, "no Prometheus answer", id="nothing"),
        pytest.param(Reply(b'{"status":"\xff"}'), BadAnswer, "no Prometheus answer", id="no UTF-8"),
        pytest.param(Reply(b"[]"), BadAnswer, "no Prometheus answer", id="other JSON"),
        pytest.param(Reply(b'{"status":"success"}'), BadAnswer, "answered an error", id="success without data"),
        pytest.param(Reply(b'{"status":"success"}', length=4000), Unreachable, "gave no answer", id="cut off"),
        pytest.param(success("matrix", []), BadAnswer, "must give a vector or a scalar", id="a matrix"),
        pytest.param(success("string", [1.0, "x"]), BadAnswer, "must give a vector or a scalar", id="a string"),
        pytest.param(success("vector", {}), BadAnswer, "cannot be read", id="a vector that is none"),
        pytest.param(success("vector", None), BadAnswer, "cannot be read", id="a vector of nothing"),
        pytest.param(success("vector", [{"metric": {}}]), BadAnswer, "cannot be read", id="a sample without value"),
        pytest.param(vector((A, "many")), BadAnswer, "cannot be read", id="a value in words"),
        pytest.param(success("scalar", ["now", 1]), BadAnswer, "cannot be read", id="a scalar turned around"),
    ],
)
def test_an_answer_that_cannot_be_used(reply: Reply, kind: type[LullError], says: str) -> None:
    answer = answer_to(reply)
    assert type(answer) is kind
    assert says in str(answer)
    assert "http://127.0.0.1" in str(answer) or "query" in str(answer), "who answered, or to what"


def test_a_refused_connection_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with reader(url) as read:
            answer = read(q="up")["q"]
    assert isinstance(answer, Unreachable)
    assert url in str(answer)
    assert "refused" in str(answer)
    assert "HTTPConnectionPool" not in str(answer), "the library's own wrapping tells nobody anything"


def test_an_answer_that_takes_too_long_is_unreachable() -> None:
    answer = answer_to(Reply(b"{}", after_s=30.0), timeout_s=0.1)
    assert isinstance(answer, Unreachable)
    assert "within 0.1 s" in str(answer)


def test_each_query_has_its_own_answer() -> None:
    """One failure costs one answer and not the round."""

    def speak(request: Request) -> Reply:
        query = request.query["query"]
        return failure(422, "no") if query == "bad" else vector(({"of": query}, "1"))

    with serve(speak) as peer, reader(peer.url) as read:
        answers = read(first="one", broken="bad", last="two")
    assert rows_of(answers["first"]) == [Row({"of": "one"}, 1.0)]
    assert rows_of(answers["last"]) == [Row({"of": "two"}, 1.0)]
    assert isinstance(answers["broken"], BadAnswer)
    assert sorted(peer.queries) == ["bad", "one", "two"]


def test_nothing_is_asked_twice() -> None:
    """The next round asks again; until then a struggling Prometheus is left alone."""
    with serve(lambda _: Reply(b"", 503)) as peer, reader(peer.url) as read:
        read(q="up")
        assert peer.queries == ["up"]


def test_nothing_to_ask_is_nothing_to_send() -> None:
    with serve(lambda _: vector()) as peer, reader(peer.url) as read:
        assert read() == {}
        assert peer.requests == []


def test_queries_travel_unharmed() -> None:
    query = 'sum by (a) (rate(x{b="c+d&e=f"}[1m])) # %'
    with serve(lambda _: vector()) as peer, reader(peer.url) as read:
        read(q=query)
        assert peer.queries == [query]


def many(count: int) -> Reply:
    return vector(*(({"pod": f"p{i}"}, "1") for i in range(count)))


@pytest.mark.parametrize(
    ("counts", "doubts"),
    [
        pytest.param([10, 10, 10], [False, False, False], id="steady"),
        pytest.param([10, 4], [False, True], id="less than half"),
        pytest.param([10, 5], [False, False], id="half"),
        pytest.param([10, 0], [False, True], id="all gone"),
        pytest.param([10, 4, 4], [False, True, False], id="once: a fleet that stays small is small"),
        pytest.param([3, 1], [False, False], id="too few to tell"),
        pytest.param([4, 1], [False, True], id="enough to tell"),
        pytest.param([1, 10], [False, False], id="growth"),
    ],
)
def test_a_sudden_loss_of_rows_is_doubt(counts: list[int], doubts: list[bool]) -> None:
    script = iter(counts)
    with serve(lambda _: many(next(script))) as peer, reader(peer.url) as read:
        answers = [read(q="up")["q"] for _ in counts]
    assert [isinstance(answer, Answer) and answer.doubt is not None for answer in answers] == doubts


def test_rows_are_counted_query_by_query() -> None:
    with serve(lambda request: many(int(request.query["query"]))) as peer, reader(peer.url) as read:
        read(one="10", other="2")
        answers = read(one="10", other="2")
    assert all(isinstance(answer, Answer) and answer.doubt is None for answer in answers.values())


def test_a_path_prefix_is_kept() -> None:
    with serve(lambda _: vector((A, "1"))) as peer, reader(f"{peer.url}/mimir/prometheus") as read:
        assert rows_of(read(q="up")["q"]) == [Row(A, 1.0)]
    assert [request.path for request in peer.requests] == ["/mimir/prometheus/api/v1/query"]


def test_many_queries_share_few_connections() -> None:
    """Four threads with a connection each: a fleet of generic models opens no socket per query."""
    with serve(lambda _: vector()) as peer, reader(peer.url) as read:
        for _ in range(3):
            read(**{f"q{i}": f"query {i}" for i in range(20)})
    assert len(peer.requests) == 60
    assert peer.connections <= 4


def test_raw_samples_keep_the_moments_of_their_scrapes() -> None:
    points = [{"metric": A, "values": [[1000.25, "1"], [1015.5, "NaN"], [1030, "3"]]}]
    with serve(lambda _: success("matrix", points)) as peer:
        prometheus = Prometheus(peer.url, 5.0)
        try:
            (track,) = asyncio.run(prometheus.read_samples({"q": "energy[2m]"}, 1060.0))["q"]  # type: ignore[misc]
        finally:
            prometheus.close()
    assert (track.labels, track.times_s.tolist()) == (A, [1000.25, 1015.5, 1030.0])
    assert track.values[[0, 2]].tolist() == [1.0, 3.0]
    assert peer.requests[0].query == {"query": "energy[2m]", "time": "1060.000"}


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(success("matrix", [], warnings=["store gone"]), id="a partial answer"),
        pytest.param(vector((A, "1")), id="no matrix"),
        pytest.param(failure(400, "parse error"), id="an error"),
    ],
)
def test_samples_that_may_be_lacking_are_an_error(reply: Reply) -> None:
    with serve(lambda _: reply) as peer:
        prometheus = Prometheus(peer.url, 5.0)
        try:
            found = asyncio.run(prometheus.read_samples({"q": "energy[2m]"}, 1060.0))["q"]
        finally:
            prometheus.close()
    assert isinstance(found, BadAnswer)
