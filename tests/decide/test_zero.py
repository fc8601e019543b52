"""Whether a model may sleep: what speaks against it, one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_model, a_view
from lull.decide.zero import GRACE_S, UNLEARNED_IDLE_S, Quiet, rest
from lull.model.fleet import ModelView
from lull.model.reason import Reason
from lull.model.route import Front, ServicePort, ServiceShape

NAN = float("nan")
FRONT = Front("chat", ServiceShape(ports=(ServicePort("http", 80),)))
QUIET = {
    "need_exact": 0.0,
    "quiet_s": 7200.0,
    "lead_s": 30.0,
    "worth_s": 600.0,
    "keep_to": 0,
    "is_versed": True,
    "ready_for_s": 7200.0,
    "is_start_known": True,
    "is_hurried": False,
}


def a_sleeper(front: Front = FRONT, replicas: int = 1, **rule: Any) -> ModelView:
    return a_view(a_model(scaleToZero={"mode": "Enforce", **rule}), replicas=replicas, front=front)


def of(view: ModelView, **facts: float) -> tuple[int, Reason | None]:
    """Floor and reason of one model."""
    found = rest([view], Quiet(**{name: np.array([value]) for name, value in {**QUIET, **facts}.items()}))
    return int(found.floor[0]), found.why[0]


def test_a_model_without_anything_against_it_may_sleep() -> None:
    assert of(a_sleeper()) == (0, Reason.MAY_SLEEP)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        pytest.param({"lead_s": 61.0}, Reason.START_EXCEEDS_HOLD, id="a start outlasts the hold"),
        pytest.param({"ready_for_s": GRACE_S - 1.0}, Reason.SETTLING, id="Ready for a moment only"),
        pytest.param({"ready_for_s": NAN}, Reason.SETTLING, id="never Ready yet"),
        pytest.param({"need_exact": NAN}, Reason.DEMAND_UNKNOWN, id="nobody knows what is wanted"),
        pytest.param({"need_exact": 0.01}, Reason.IN_USE, id="something is wanted"),
        pytest.param({"quiet_s": 29.0}, Reason.QUIET_TOO_SHORT, id="quiet for less than a start takes"),
        pytest.param({"quiet_s": NAN}, Reason.QUIET_TOO_SHORT, id="nobody knows for how long"),
        pytest.param({"keep_to": 1}, Reason.FORECAST_HOLD, id="requests are expected"),
    ],
)
def test_each_reason_keeps_it_awake(facts: dict[str, float], reason: Reason) -> None:
    assert of(a_sleeper(), **facts) == (1, reason)


def test_a_service_that_cannot_be_routed_keeps_it_awake() -> None:
    headless = replace(FRONT, shape=ServiceShape(is_headless=True))
    assert of(a_sleeper(headless)) == (1, Reason.SERVICE_HEADLESS)
    assert of(a_sleeper(replace(FRONT, has_activator=False))) == (1, Reason.NO_ACTIVATOR)


@pytest.mark.parametrize(("idle", "quiet_s", "floor"), [("10m", 599.0, 1), ("10m", 600.0, 0), ("1h", 600.0, 1)])
def test_a_stated_idle_time_is_the_rule_and_the_forecast_has_no_say(idle: str, quiet_s: float, floor: int) -> None:
    assert of(a_sleeper(idle=idle), quiet_s=quiet_s, keep_to=3)[0] == floor


def test_a_start_that_outlasts_the_idle_time_is_refused() -> None:
    assert of(a_sleeper(idle="20s")) == (1, Reason.START_EXCEEDS_IDLE)


def test_a_long_start_can_be_allowed() -> None:
    assert of(a_sleeper(allowLongStart=True), lead_s=500.0) == (0, Reason.MAY_SLEEP)


@pytest.mark.parametrize(("worth_s", "needed_s"), [(600.0, 600.0), (NAN, UNLEARNED_IDLE_S)])
def test_without_a_forecast_it_waits_for_as_long_as_a_start_is_worth(worth_s: float, needed_s: float) -> None:
    for quiet_s, floor in ((needed_s - 1.0, 1), (needed_s, 0)):
        assert of(a_sleeper(), is_versed=False, worth_s=worth_s, quiet_s=quiet_s)[0] == floor


def test_one_that_sleeps_sleeps_on_whatever_is_unknown_of_it() -> None:
    nothing = {"need_exact": NAN, "quiet_s": NAN, "ready_for_s": NAN, "keep_to": 1}
    assert of(a_sleeper(replicas=0), **nothing) == (0, Reason.ASLEEP)


def test_one_that_sleeps_is_woken_when_its_start_has_become_too_long() -> None:
    assert of(a_sleeper(replicas=0), lead_s=67.0) == (1, Reason.START_EXCEEDS_HOLD)
    assert of(a_sleeper(replicas=0), lead_s=65.0) == (0, Reason.ASLEEP), "by so little it is not woken"


@given(st.lists(st.floats(57.5, 62.5), min_size=1, max_size=60), st.sampled_from([{}, {"idle": "1m"}]))
def test_a_start_about_as_long_as_the_hold_does_not_switch_a_model_about(
    leads_s: list[float], rule: dict[str, str]
) -> None:
    """Each start moves what is known of them by some hundredths; once asleep it sleeps on."""
    replicas, sizes = 1, []
    for lead_s in leads_s:
        replicas, _ = of(a_sleeper(replicas=replicas, **rule), lead_s=lead_s)
        sizes.append(replicas)
    assert sizes == sorted(sizes, reverse=True)


def test_one_that_sleeps_is_not_woken_because_its_start_is_not_known_any_more() -> None:
    """After a change of leader nothing may be known of the starts of models that sleep; awake ones stay so."""
    unknown = {"lead_s": 175.0, "is_start_known": False}
    assert of(a_sleeper(replicas=0), **unknown) == (0, Reason.ASLEEP)
    assert of(a_sleeper(replicas=1), **unknown) == (1, Reason.START_EXCEEDS_HOLD)


def test_off_says_nothing_and_recommend_only_says_so() -> None:
    assert of(a_view(a_model(), front=FRONT)) == (1, None)
    recommended = a_view(a_model(scaleToZero={"mode": "Recommend"}), front=FRONT)
    assert of(recommended) == (1, Reason.MAY_SLEEP)


def test_models_do_not_see_each_other() -> None:
    views = [a_sleeper(), a_view(a_model()), a_sleeper(replicas=0), a_sleeper(idle="10m")]
    quiet = Quiet(**{name: np.array([value] * 4) for name, value in {**QUIET, "quiet_s": 599.0}.items()})
    assert list(rest(views, quiet).floor) == [0, 1, 0, 1]
