"""Where a model rests: what zero says, what its server can, and what the rungs cost, put together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from builders import a_model, a_view
from lull.decide.dozing import TRIAL_S, Dozing, Outlook, doze
from lull.decide.zero import Quiet, rest
from lull.model.costs import Costs
from lull.model.doze import Rung, RungsKnown
from lull.model.fleet import Doze, Fault, ModelView
from lull.model.reason import Reason
from lull.model.route import Front, ServicePort, ServiceShape

NAN = float("nan")
FRONT = Front("chat", ServiceShape(ports=(ServicePort("http", 80),)))
SILENT_S = 1000.0
QUIET = {
    "need_exact": 0.0,
    "quiet_s": SILENT_S,
    "lead_s": 300.0,
    "is_start_known": True,
    "is_hurried": False,
    "worth_s": 900.0,
    "keep_to": 0,
    "is_versed": False,
    "ready_for_s": 7200.0,
}
NOTHING_FORECAST = Outlook(np.full((1, 1), np.nan), np.ones(1))


def a_dozer(seen: Doze | None = None, replicas: int = 1, minimum: int = 1, **rule: Any) -> ModelView:
    """A vLLM model that takes five minutes to start, longer than its requests may wait."""
    model = a_model(
        server={"runtime": "vllm", "modelName": "m"},
        minReplicas=minimum,
        scaleToZero={"mode": "Enforce", "doze": "Enforce"} | rule,
    )
    return a_view(model, replicas=replicas, front=FRONT, doze=seen or Doze())


def known(holding: tuple[float, float] = (0.5, 0.5), *, is_metered: bool = True) -> RungsKnown:
    """Wakes of 5 and 20 s, nearly all within 8 and 40."""
    return RungsKnown(
        np.array([[1.0], [holding[0]], [holding[1]], [0.0]]),
        np.array([[0.0], [8.0], [40.0], [NAN]]),
        np.array([[0.0], [5.0], [20.0], [NAN]]),
        np.array([is_metered]),
    )


def of(
    view: ModelView,
    what: RungsKnown | None = None,
    outlook: Outlook = NOTHING_FORECAST,
    cold_price_s: float = 0.1,
    **facts: Any,
) -> Dozing:
    quiet = Quiet(**{name: np.array([value]) for name, value in (QUIET | facts).items()})
    costs = Costs(*(np.array([value]) for value in (10.0, 0.1, quiet.worth_s[0], quiet.lead_s[0], 120.0, cold_price_s)))
    return doze([view], rest([view], quiet), quiet, costs, what or known(), outlook)


def rung(view: ModelView, *rest: Any, **facts: Any) -> Rung:
    return Rung(int(of(view, *rest, **facts).rung[0]))


AT_LEVEL = Doze(Rung.LEVEL_1, since_s=0.0)


def test_a_server_sleeps_in_its_pod_where_a_start_would_take_too_long() -> None:
    found = of(a_dozer())
    assert Rung(int(found.rung[0])) is Rung.LEVEL_1
    assert (found.rest.floor[0], found.rest.why[0]) == (1, Reason.DOZING)
    assert found.wake_s[0] == 8.0, "which is what those who come are told to wait"


def test_and_goes_on_from_there_where_it_may_go() -> None:
    quick = {"lead_s": 30.0, "worth_s": 300.0}
    way = [(at_s, rung(a_dozer(), quiet_s=at_s, **quick)) for at_s in (59.0, 100.0, 2000.0)]
    assert [found for _, found in way] == [Rung.AWAKE, Rung.LEVEL_1, Rung.GONE]
    gone = of(a_dozer(AT_LEVEL), quiet_s=2000.0, **quick)
    assert (Rung(int(gone.rung[0])), gone.rest.floor[0]) == (Rung.GONE, 0)


@pytest.mark.parametrize(
    ("view", "facts"),
    [
        pytest.param(a_dozer(Doze(fault=Fault(Reason.SLEEP_MODE_OFF, "no"))), {}, id="its server cannot"),
        pytest.param(a_dozer(replicas=2), {}, id="it is not alone"),
        pytest.param(a_dozer(minimum=2), {}, id="it is never to be alone"),
        pytest.param(a_dozer(), {"need_exact": 0.1}, id="something is wanted"),
        pytest.param(a_dozer(), {"need_exact": NAN}, id="nobody knows what is wanted"),
        pytest.param(a_dozer(), {"ready_for_s": 59.0}, id="Ready for a moment only"),
        pytest.param(a_dozer(), {"quiet_s": 59.0}, id="quiet for a moment only"),
        pytest.param(a_dozer(idle="1h"), {}, id="not quiet for as long as stated"),
        pytest.param(a_dozer(holdTimeout="7s"), {}, id="its wake outlasts the hold"),
        pytest.param(a_dozer(mode="Off"), {}, id="it is not to sleep"),
        pytest.param(replace(a_dozer(), front=replace(FRONT, has_activator=False)), {}, id="nobody would answer"),
        pytest.param(replace(a_dozer(), waiting=1), {}, id="somebody waits"),
    ],
)
def test_a_server_stays_awake_where(view: ModelView, facts: dict[str, float]) -> None:
    found = of(view, **facts)
    assert Rung(int(found.rung[0])) is Rung.AWAKE
    assert found.rest.floor[0] == 1


@pytest.mark.parametrize(
    ("view", "facts"),
    [
        pytest.param(replace(a_dozer(AT_LEVEL), waiting=1), {"need_exact": 0.1}, id="somebody waits"),
        pytest.param(a_dozer(replace(AT_LEVEL, fault=Fault(Reason.DOZE_FAILED, "no"))), {}, id="it failed"),
        pytest.param(replace(a_dozer(AT_LEVEL), front=replace(FRONT, has_activator=False)), {}, id="nobody answers"),
    ],
)
def test_one_that_sleeps_is_woken_and_not_sent_away_where(view: ModelView, facts: dict[str, float]) -> None:
    found = of(view, lead_s=30.0, **facts)
    assert (Rung(int(found.rung[0])), found.rest.floor[0]) == (Rung.AWAKE, 1)


def test_one_that_sleeps_does_not_go_while_nobody_knows_how_long_a_start_takes() -> None:
    found = of(a_dozer(AT_LEVEL), quiet_s=5000.0, lead_s=61.0, is_start_known=False)
    assert Rung(int(found.rung[0])) is Rung.LEVEL_1


def test_recommend_tells_and_does_not_do() -> None:
    found = of(a_dozer(doze="Recommend"))
    assert Rung(int(found.rung[0])) is Rung.LEVEL_1
    assert not found.is_doer[0]
    assert found.rest.why[0] is Reason.START_EXCEEDS_HOLD


def test_what_nobody_measured_saves_nothing() -> None:
    unmeasured = known((NAN, NAN), is_metered=False)
    assert rung(a_dozer(), unmeasured) is Rung.AWAKE
    assert of(a_dozer(), unmeasured).why[0] is Reason.POWER_UNKNOWN


def test_where_a_meter_would_tell_a_level_is_tried_once_in_a_silence() -> None:
    unmeasured = known((NAN, NAN))
    tried = [rung(a_dozer(), unmeasured, quiet_s=at_s) for at_s in (59.0, 60.0, 60.0 + TRIAL_S)]
    assert tried == [Rung.AWAKE, Rung.LEVEL_1, Rung.AWAKE]
    assert rung(a_dozer(AT_LEVEL), unmeasured, quiet_s=500.0) is Rung.LEVEL_1
    assert rung(a_dozer(), known((0.5, NAN)), quiet_s=100.0) is Rung.LEVEL_2, "then the next one"


def test_a_level_that_turned_out_to_save_nothing_is_left() -> None:
    assert rung(a_dozer(AT_LEVEL), known((1.0, 1.0))) is Rung.AWAKE


def test_a_new_operator_lets_rest_what_rests() -> None:
    """It has seen no silence yet, and no power."""
    nothing = known((NAN, NAN), is_metered=False)
    assert rung(a_dozer(AT_LEVEL), nothing, quiet_s=0.0, lead_s=30.0) is Rung.LEVEL_1


def test_a_forecast_of_requests_keeps_it_awake_and_one_of_none_lets_it_sleep_sooner() -> None:
    horizons_s = np.array([60.0, 3600.0])
    soon = Outlook(np.array([[0.9], [1.0]]), horizons_s)
    never = Outlook(np.array([[0.0], [0.0]]), horizons_s)
    costly = known((0.5, 0.5))
    costly.expected_s[1:3] = [[100.0], [400.0]]
    assert rung(a_dozer(), costly, soon, quiet_s=250.0, is_versed=True) is Rung.AWAKE
    assert rung(a_dozer(), costly, quiet_s=180.0) is Rung.AWAKE
    assert rung(a_dozer(), costly, never, quiet_s=180.0, is_versed=True) is Rung.LEVEL_1


def test_who_waits_for_a_wake_is_paid_for_as_a_cold_hit() -> None:
    """The price of a miss is for those who find too few replicas, not for those who find one asleep."""
    assert rung(a_dozer()) is Rung.LEVEL_1
    assert rung(a_dozer(), cold_price_s=1e6) is Rung.AWAKE
