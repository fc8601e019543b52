"""Decisions in words."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Story, a_decision, a_glimpse, a_model, silence, some_signals
from lull.model.reason import Reason
from lull.model.spec import SelectPolicy
from lull.render.sentences import number, sentence

NUMBERS = {"arrivals_rps": 41.3, "sizing_rps": 42.4, "replica_limit_rps": 17.02, "need": 3.0, "safe": 4.0}


def test_a_change_is_told_with_its_numbers() -> None:
    decision = a_decision(2, 3, Reason.DEMAND_RISE, **NUMBERS)
    assert sentence(decision) == "41.3 requests/s at up to 17 a replica need 3 replicas; scale from 2 to 3"


def test_what_is_only_recommended_is_told_as_such() -> None:
    decision = dataclasses.replace(a_decision(2, 3, Reason.DEMAND_RISE, **NUMBERS), is_enforced=False)
    assert sentence(decision).endswith("would scale from 2 to 3")


def test_no_change_is_told_too() -> None:
    assert sentence(a_decision(3, 3, Reason.STEADY, **NUMBERS)).endswith("need 3 replicas; stay at 3")


def test_a_queue_is_told_when_there_is_one() -> None:
    assert "41.3 requests/s and 250 waiting at" in sentence(
        a_decision(2, 3, Reason.DEMAND_RISE, backlog=250.4, **NUMBERS)
    )
    assert "waiting" not in sentence(a_decision(2, 3, Reason.DEMAND_RISE, backlog=0.4, **NUMBERS))


def test_one_replica_is_singular() -> None:
    assert "need 1 replica;" in sentence(a_decision(2, 1, Reason.DEMAND_FALL, **NUMBERS | {"need": 1.0}))


def test_the_unknown_is_told_with_its_reason() -> None:
    words = sentence(a_decision(3, 3, Reason.PROMETHEUS_UNREACHABLE, replica_limit_rps=17.0))
    assert words == "demand is unknown (PrometheusUnreachable), so the size is held; stay at 3"


@pytest.mark.parametrize(
    ("reason", "tail"),
    [
        (Reason.WITHIN_TOLERANCE, "within the tolerance"),
        (Reason.STABILIZING, "within the stabilisation window"),
        (Reason.STEP_LIMITED, "step policy"),
        (Reason.DIRECTION_DISABLED, "selectPolicy Disabled"),
        (Reason.AT_MIN_REPLICAS, "minReplicas holds"),
        (Reason.AT_MAX_REPLICAS, "maxReplicas holds"),
        (Reason.OBJECTIVE_UNREACHABLE, "slower than the threshold"),
        (Reason.PARTIAL_DATA, "pods are missing"),
        (Reason.SERVICE_TIME_UNKNOWN, "no request was timed"),
        (Reason.PAUSED, "mode is Paused"),
        (Reason.SCALED_TO_ZERO_BY_HAND, "Lull leaves it there"),
    ],
)
def test_what_held_a_change_back_is_told(reason: Reason, tail: str) -> None:
    assert tail in sentence(a_decision(3, 3, reason, **NUMBERS)).partition("; ")[2]


@pytest.mark.parametrize("evidence", [{}, {"arrivals_rps": 5.0}, {"replica_limit_rps": 5.0}, NUMBERS], ids=str)
@pytest.mark.parametrize("after", [2, 3])
@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_makes_a_readable_sentence(reason: Reason, after: int, evidence: dict[str, float]) -> None:
    words = sentence(a_decision(2, after, reason, **evidence))
    assert re.fullmatch(r"[a-z0-9].*[a-z0-9]", words)
    assert not re.search(r"\b(nan|inf|None|e[+-][0-9])\b|  |;;|; ;|_", words)


def test_every_decision_that_is_made_says_why() -> None:
    """More than "stay at 3": the numbers, or what is missing of them."""
    story = Story(a_model(capacity={"concurrency": 2}), replicas=3)
    worlds = (some_signals(5.0, service_time_s=None), silence(), a_glimpse(1.0), some_signals(9.0), some_signals(0.0))
    for signals in worlds:
        assert ";" in sentence(story.goes_on(signals))


@pytest.mark.parametrize("policy", list(SelectPolicy))
def test_words_of_the_spec_are_written_as_in_the_spec(policy: SelectPolicy) -> None:
    words = sentence(a_decision(2, 2, Reason.DIRECTION_DISABLED, **NUMBERS))
    assert (str(policy) in words) == (policy is SelectPolicy.DISABLED)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (3.14159, "3.14"),
        (12.345, "12.3"),
        (99.96, "100"),
        (100.4, "100"),
        (1234.5, "1234"),
        (9_999_999.0, "9999999"),
        (1e16, "10000000000000000"),
        (0.5, "0.5"),
        (0.01234, "0.0123"),
        (0.00012, "0.00012"),
        (0.000001, "0"),
        (-2.5, "-2.5"),
    ],
)
def test_numbers_are_written_short_and_without_an_exponent(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(1e-3, 1e12))
def test_three_digits_are_right(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=5.01e-3)


@given(st.floats(0.0, 1e15))
def test_a_number_is_always_plain_digits(value: float) -> None:
    assert re.fullmatch(r"[0-9]+(\.[0-9]*[1-9])?", number(value))
