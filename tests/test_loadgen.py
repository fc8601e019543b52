"""What the load generator tells beyond counts: the first answer after a silence, and what was sent so far."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from itertools import pairwise

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadgen.outcome import Fate, Outcome
from loadgen.plan import PlanError, parse
from loadgen.silence import Silences
from loadgen.tally import SAMPLES_OF_A_KIND, Tally, exposition, summary
from loadgen.telling import told_at

SILENCE_S = 30.0


def a_plan(**fields: object) -> str:
    return json.dumps({"targets": [{"name": "m", "url": "http://m:8000/", "rates_rps": [1.0]}], **fields})


def report(*tallies: Tally) -> dict[str, float]:
    told: dict[str, float] = summary(tallies, run_s=1.0, ended_early=False, cpu_s=0.0)["total"]["after_silence"]
    return told


def test_the_first_request_ends_a_silence_and_the_first_answer_is_what_counts() -> None:
    silences = Silences(SILENCE_S)
    silences.note_sent(10.0)
    silences.note_sent(11.0)
    silences.note_answered(11.0, 12.5)
    silences.note_answered(10.0, 14.0)

    assert silences.waits_s == [2.5]


def test_a_gap_shorter_than_a_silence_ends_none() -> None:
    silences = Silences(SILENCE_S)
    for sent_s in (0.0, 29.9, 59.0, 89.0):
        silences.note_sent(sent_s)

    assert len(silences.waits_s) == 2


def test_a_late_answer_belongs_to_the_silence_before_its_request() -> None:
    silences = Silences(SILENCE_S)
    silences.note_sent(0.0)
    silences.note_sent(40.0)
    silences.note_answered(0.0, 50.0)

    assert silences.waits_s == [50.0, math.inf]


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.booleans(), st.floats(0.0, 100.0)), max_size=40))
def test_a_silence_is_unanswered_exactly_if_no_request_up_to_the_next_one_was(
    sent: list[tuple[float, bool, float]],
) -> None:
    """Against the definition, read off the whole run at once."""
    silences, now_s, requests = Silences(SILENCE_S), 0.0, []
    for gap_s, is_answered, latency_s in sent:
        now_s += gap_s
        requests.append((now_s, is_answered, latency_s))
        silences.note_sent(now_s)
    for sent_s, is_answered, latency_s in requests:
        if is_answered:
            silences.note_answered(sent_s, sent_s + latency_s)

    ends_s = [
        at_s
        for before, (at_s, *_) in zip([None, *requests], requests, strict=False)
        if before is None or at_s - before[0] >= SILENCE_S
    ]
    bounds_s = [*ends_s, math.inf]
    expected_s = [
        min(
            (sent_s + took_s - start_s for sent_s, ok, took_s in requests if ok and start_s <= sent_s < end_s),
            default=math.inf,
        )
        for start_s, end_s in pairwise(bounds_s)
    ]
    assert silences.waits_s == pytest.approx(expected_s)


def test_requests_that_nobody_answers_leave_their_silence_unanswered() -> None:
    refused, answered = Tally("refused", SILENCE_S), Tally("answered", SILENCE_S)
    for tally in (refused, answered):
        tally.note_sent(5.0, 0.0)
    refused.note_outcome(Outcome(Fate.REFUSED, 0.1), 5.1)
    answered.note_outcome(Outcome(Fate.ANSWERED, 0.4), 5.5)

    assert report(refused, answered) == {
        "silences": 2,
        "unanswered": 1,
        "p50_s": pytest.approx(0.5),
        "p95_s": None,
        "max_s": None,
    }


def test_a_summary_with_unanswered_silences_is_json() -> None:
    tally = Tally("m", SILENCE_S)
    tally.note_sent(0.0, 0.0)

    json.dumps(summary([tally], run_s=1.0, ended_early=False, cpu_s=0.0), allow_nan=False)


def test_the_many_of_one_kind_do_not_hide_the_few_of_another() -> None:
    tallies = [Tally("a", SILENCE_S), Tally("b", SILENCE_S)]
    for second in range(20):
        for tally in tallies:
            tally.note_outcome(Outcome(Fate.REFUSED, 0.0), float(second))
    tallies[1].note_outcome(Outcome(Fate.RESET, 0.0), 30.0)
    told = summary(tallies, run_s=1.0, ended_early=False, cpu_s=0.0)["total"]["samples"]

    assert [sample["kind"] for sample in told] == ["refused"] * SAMPLES_OF_A_KIND + ["reset"]
    assert [sample["t_s"] for sample in told] == sorted(sample["t_s"] for sample in told)


def test_what_was_sent_is_told_whatever_became_of_it() -> None:
    some, none = Tally("m00", SILENCE_S), Tally('a"b', SILENCE_S)
    some.note_sent(0.0, 0.0)
    some.note_sent(1.0, 0.0)
    some.note_outcome(Outcome(Fate.REFUSED, 0.0), 1.0)

    assert exposition([some, none]).splitlines() == [
        "# TYPE loadgen_requests_sent_total counter",
        'loadgen_requests_sent_total{target="m00"} 2',
        'loadgen_requests_sent_total{target="a\\"b"} 0',
    ]


def test_a_plan_says_where_it_tells_and_what_a_silence_is() -> None:
    plan = parse(a_plan(metrics_port=9100, silence_s=12))

    assert (plan.metrics_port, plan.silence_s) == (9100, 12.0)
    assert parse(a_plan(metrics_port=None)).metrics_port is None


@pytest.mark.parametrize("port", [80, 65536, "9100", True, 9100.0])
def test_a_port_that_cannot_be_is_refused_by_name(port: object) -> None:
    with pytest.raises(PlanError, match="metrics_port"):
        parse(a_plan(metrics_port=port))


def test_prometheus_reads_the_present_count() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tally = Tally("m", SILENCE_S)

    async def read() -> tuple[str, str]:
        async with told_at(port, lambda: exposition([tally])), aiohttp.ClientSession() as session:
            before = await (await session.get(f"http://127.0.0.1:{port}/metrics")).text()
            tally.note_sent(0.0, 0.0)
            return before, await (await session.get(f"http://127.0.0.1:{port}/metrics")).text()

    before, after = asyncio.run(read())
    assert '{target="m"} 0' in before
    assert '{target="m"} 1' in after
