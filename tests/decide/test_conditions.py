"""What conditions claim, and what keeps Lull from a target."""

from __future__ import annotations

import pytest

from builders import START_S, a_model, a_view, an_owned_model, silence, some_signals
from lull.decide.conditions import blocker, conditions, unreadable_conditions
from lull.model.fleet import Fault, ModelView
from lull.model.hindrance import Attempt, Hindrance, Obstacle
from lull.model.plan import Condition, ConditionStatus, ConditionType
from lull.model.reason import Reason
from lull.model.route import Front, ServiceShape
from lull.model.spec import Key
from lull.settings import Mode

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
HPA = ("HorizontalPodAutoscaler/chat",)
OLDER = Key("demo", "older")
OWNED = an_owned_model()
NOT_OURS = Fault(Reason.OBJECT_NOT_OURS, "Deployment 'chat' belongs to somebody else")
REFUSED = Fault(Reason.TEMPLATE_REFUSED, "no such field")


def told(
    view: ModelView, kind: ConditionType, mode: Mode = Mode.ENFORCE, known_s_ago: float | None = None
) -> Condition:
    (found,) = (c for c in conditions(view, mode, known_s_ago, now_s=START_S) if c.type is kind)
    return found


@pytest.mark.parametrize(
    ("view", "status", "reason"),
    [
        pytest.param(a_view(replicas=3, ready=3), TRUE, Reason.SERVING, id="all"),
        pytest.param(a_view(replicas=3, ready=5), TRUE, Reason.SERVING, id="more than wanted, on the way down"),
        pytest.param(a_view(replicas=3, ready=1), TRUE, Reason.REPLICAS_STARTING, id="some"),
        pytest.param(a_view(replicas=3, ready=0), FALSE, Reason.NO_READY_PODS, id="none"),
        pytest.param(a_view(replicas=0), FALSE, Reason.SCALED_TO_ZERO_BY_HAND, id="zero"),
        pytest.param(a_view(replicas=None), FALSE, Reason.TARGET_NOT_FOUND, id="no target"),
        pytest.param(a_view(replicas=3, faults=(REFUSED, NOT_OURS)), FALSE, Reason.TEMPLATE_REFUSED, id="first fault"),
        pytest.param(a_view(replicas=None, faults=(NOT_OURS,)), FALSE, Reason.TARGET_NOT_FOUND, id="adopts nothing"),
        pytest.param(a_view(OWNED, replicas=None), FALSE, Reason.TARGET_NOT_FOUND, id="owns nothing yet"),
        pytest.param(
            a_view(OWNED, replicas=None, faults=(NOT_OURS,)), FALSE, Reason.OBJECT_NOT_OURS, id="owns nothing, and why"
        ),
    ],
)
def test_ready_says_whether_the_model_is_served(view: ModelView, status: ConditionStatus, reason: Reason) -> None:
    found = told(view, ConditionType.READY)
    assert (found.status, found.reason) == (status, reason)


def test_ready_counts_in_its_message() -> None:
    assert told(a_view(replicas=3, ready=1), ConditionType.READY).message == "1 of 3 replicas are Ready"


@pytest.mark.parametrize(
    ("view", "mode", "status", "reason"),
    [
        pytest.param(a_view(), Mode.ENFORCE, TRUE, Reason.ENFORCING, id="enforce"),
        pytest.param(a_view(), Mode.RECOMMEND, FALSE, Reason.RECOMMENDING, id="recommend"),
        pytest.param(a_view(), Mode.PAUSED, FALSE, Reason.PAUSED, id="paused"),
        pytest.param(a_view(contenders=HPA), Mode.ENFORCE, FALSE, Reason.TARGET_CONTENDED, id="enforce beside an HPA"),
        pytest.param(a_view(contenders=HPA), Mode.RECOMMEND, FALSE, Reason.RECOMMENDING, id="recommend beside an HPA"),
        pytest.param(a_view(contenders=HPA), Mode.PAUSED, FALSE, Reason.PAUSED, id="paused beside an HPA"),
        pytest.param(a_view(holder=OLDER), Mode.RECOMMEND, FALSE, Reason.TARGET_TAKEN, id="taken in every mode"),
        pytest.param(a_view(replicas=None), Mode.PAUSED, FALSE, Reason.TARGET_NOT_FOUND, id="no target in every mode"),
        pytest.param(a_view(faults=(NOT_OURS,)), Mode.RECOMMEND, FALSE, Reason.OBJECT_NOT_OURS, id="not ours"),
        pytest.param(a_view(faults=(REFUSED,)), Mode.ENFORCE, TRUE, Reason.ENFORCING, id="other faults do not stop it"),
    ],
)
def test_scaling_active_says_whether_lull_scales(
    view: ModelView, mode: Mode, status: ConditionStatus, reason: Reason
) -> None:
    found = told(view, ConditionType.SCALING_ACTIVE, mode)
    assert (found.status, found.reason) == (status, reason)


def test_recommend_says_beside_whom() -> None:
    assert (
        "beside HorizontalPodAutoscaler/chat"
        in told(a_view(contenders=HPA), ConditionType.SCALING_ACTIVE, Mode.RECOMMEND).message
    )


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.PROMETHEUS_UNREACHABLE, FALSE),
        (Reason.PROMETHEUS_ANSWER_UNUSABLE, FALSE),
        (Reason.PARTIAL_DATA, FALSE),
        (Reason.NO_DATA, FALSE),
        (Reason.NO_READY_PODS, UNKNOWN),
        (Reason.AWAITING_FIRST_SCRAPE, UNKNOWN),
    ],
)
def test_metrics_that_are_missing_are_told(reason: Reason, status: ConditionStatus) -> None:
    """What only needs patience is unknown; what somebody may have to mend is false."""
    found = told(a_view(signals=silence(reason)), ConditionType.METRICS_AVAILABLE)
    assert (found.status, found.reason) == (status, reason)


def test_metrics_are_available_without_a_fault() -> None:
    found = told(a_view(signals=some_signals(0.0)), ConditionType.METRICS_AVAILABLE)
    assert (found.status, found.reason) == (TRUE, Reason.SIGNALS_COMPLETE)


@pytest.mark.parametrize(
    ("ago_s", "words"),
    [
        (None, "demand never known yet"),
        (0.0, "demand last known less than a minute ago"),
        (59.9, "demand last known less than a minute ago"),
        (60.0, "demand last known 1 min ago"),
        (3599.0, "demand last known 59 min ago"),
        (3600.0, "demand last known 1 h ago"),
        (90_000.0, "demand last known 25 h ago"),
    ],
)
def test_an_age_is_told_roughly_so_that_it_seldom_changes(ago_s: float | None, words: str) -> None:
    found = told(a_view(signals=silence()), ConditionType.METRICS_AVAILABLE, known_s_ago=ago_s)
    assert found.message.endswith(f"; {words}")


@pytest.mark.parametrize(("drains", "status"), [(True, FALSE), (False, TRUE)])
def test_a_missing_drain_is_told_with_the_mend(drains: bool, status: ConditionStatus) -> None:
    found = told(a_view(drains=drains), ConditionType.DRAIN_MISSING)
    assert found.status is status
    assert ("add lifecycle.preStop" in found.message) == (status is TRUE)


@pytest.mark.parametrize("view", [a_view(OWNED, drains=False), a_view(replicas=None)])
def test_drains_are_promised_only_for_what_others_made(view: ModelView) -> None:
    """Owned pods always pause, and what is not there cannot."""
    assert ConditionType.DRAIN_MISSING not in {c.type for c in conditions(view, Mode.ENFORCE, None, now_s=START_S)}


def test_no_condition_is_told_twice() -> None:
    view = a_view(a_model(capacity=None), front=Front("chat", None))
    sleeps = {"sleep": Reason.MAY_SLEEP, "doze": Reason.POWER_UNKNOWN}
    held = Condition(ConditionType.BUDGET_LIMITED, ConditionStatus.TRUE, Reason.BUDGET_LIMITED, "")
    kinds = [c.type for c in conditions(view, Mode.ENFORCE, None, now_s=START_S, **sleeps, budgets=(held,))]
    assert sorted(kinds) == sorted(ConditionType)


def test_a_capacity_that_is_not_stated_is_told_whether_it_is_known() -> None:
    assert ConditionType.CAPACITY_KNOWN not in {c.type for c in conditions(a_view(), Mode.ENFORCE, None, now_s=START_S)}
    view = a_view(a_model(capacity=None))
    told_by = {
        known: {c.type: c for c in conditions(view, Mode.ENFORCE, None, now_s=START_S, has_capacity=known)}[
            ConditionType.CAPACITY_KNOWN
        ]
        for known in (False, True)
    }
    assert (told_by[False].status, told_by[False].reason) == (FALSE, Reason.CAPACITY_UNKNOWN)
    assert "state spec.capacity.requestsPerSecond or" in told_by[False].message
    assert (told_by[True].status, told_by[True].reason) == (TRUE, Reason.CAPACITY_LEARNED)


@pytest.mark.parametrize(
    ("view", "reason", "says"),
    [
        pytest.param(a_view(), None, "", id="nothing"),
        pytest.param(a_view(replicas=None), Reason.TARGET_NOT_FOUND, "names Deployment/chat (apps/v1)", id="adopted"),
        pytest.param(a_view(OWNED, replicas=None), Reason.TARGET_NOT_FOUND, "is being created", id="owned"),
        pytest.param(a_view(faults=(REFUSED,)), None, "", id="a fault that does not block"),
        pytest.param(a_view(faults=(REFUSED, NOT_OURS)), Reason.OBJECT_NOT_OURS, "somebody else", id="one that does"),
        pytest.param(
            a_view(OWNED, replicas=None, faults=(NOT_OURS,)), Reason.OBJECT_NOT_OURS, "else", id="a name that is taken"
        ),
        pytest.param(a_view(holder=OLDER), Reason.TARGET_TAKEN, "demo/older", id="taken"),
        pytest.param(a_view(contenders=HPA), Reason.TARGET_CONTENDED, "HorizontalPodAutoscaler/chat", id="contended"),
        pytest.param(a_view(holder=OLDER, contenders=HPA), Reason.TARGET_TAKEN, "older", id="worst first"),
        pytest.param(
            a_view(a_model(scaleTargetRef={"kind": "Rollout", "name": "x", "apiVersion": "a/v1"}), replicas=None),
            Reason.TARGET_NOT_FOUND,
            "names Rollout/x (a/v1)",
            id="another kind",
        ),
    ],
)
def test_what_keeps_lull_from_a_target(view: ModelView, reason: Reason | None, says: str) -> None:
    found = blocker(view)
    assert (found.reason if found else None) is reason
    assert says in (found.message if found else "")


def test_a_broken_spec_is_neither_ready_nor_scaled() -> None:
    found = unreadable_conditions(Fault(Reason.SPEC_UNREADABLE, "no runtime"))
    assert {(c.type, c.status, c.reason) for c in found} == {
        (ConditionType.READY, FALSE, Reason.SPEC_UNREADABLE),
        (ConditionType.SCALING_ACTIVE, FALSE, Reason.SPEC_UNREADABLE),
    }
    assert found[0].message == "no runtime"


@pytest.mark.parametrize(
    ("view", "status", "reason"),
    [
        pytest.param(a_view(), TRUE, Reason.SERVING, id="its own replicas answer"),
        pytest.param(a_view(ready=0), FALSE, Reason.NO_READY_PODS, id="none is Ready"),
        pytest.param(a_view(replicas=0, is_held=True), FALSE, Reason.ASLEEP, id="asleep"),
        pytest.param(a_view(replicas=0, is_held=True, waiting=3), FALSE, Reason.ASLEEP, id="waited for"),
    ],
)
def test_asleep_is_ready_and_not_active(view: ModelView, status: ConditionStatus, reason: Reason) -> None:
    told = {c.type: c for c in conditions(view, Mode.ENFORCE, None, now_s=START_S, sleep=Reason.ASLEEP)}
    active = told[ConditionType.ACTIVE]
    assert (active.status, active.reason) == (status, reason)
    assert (told[ConditionType.READY].status is TRUE) == (reason is not Reason.NO_READY_PODS)
    assert ("3 requests wait" in active.message) == (view.waiting == 3)


@pytest.mark.parametrize("reason", [Reason.START_EXCEEDS_HOLD, Reason.IN_USE, Reason.SERVICE_HEADLESS])
def test_what_keeps_a_model_awake_is_told_with_the_mend(reason: Reason) -> None:
    told = {c.type: c for c in conditions(a_view(), Mode.ENFORCE, None, now_s=START_S, sleep=reason)}[
        ConditionType.SLEEP_ALLOWED
    ]
    assert (told.status, told.reason) == (FALSE, reason)
    assert told.message


def test_recommend_says_that_it_would_sleep() -> None:
    model = a_model(scaleToZero={"mode": "Recommend"})
    told = {c.type: c for c in conditions(a_view(model), Mode.ENFORCE, None, now_s=START_S, sleep=Reason.MAY_SLEEP)}
    assert "Recommend" in told[ConditionType.SLEEP_ALLOWED].message


# Starts that will not be.

NO_NODE = Attempt("chat-0", Hindrance(Obstacle.NODE, "0/3 nodes are available", START_S - 60.0))


def told_of(view: ModelView) -> dict[ConditionType, Condition]:
    return {c.type: c for c in conditions(view, Mode.ENFORCE, None, now_s=START_S, sleep=Reason.SETTLING)}


def test_a_start_that_nothing_comes_of_says_why() -> None:
    told = told_of(a_view(replicas=1, ready=0, attempts=(NO_NODE,)))
    for kind in (ConditionType.READY, ConditionType.ACTIVE):
        assert (told[kind].status, told[kind].reason) == (ConditionStatus.FALSE, Reason.NO_CAPACITY)
        assert "0/3 nodes are available" in told[kind].message


def test_a_quota_that_leaves_no_room_is_named() -> None:
    refusal = 'pods "chat-1" is forbidden: exceeded quota: gpus'
    told = told_of(a_view(replicas=1, ready=0, refusal=refusal))
    assert told[ConditionType.ACTIVE].reason is Reason.QUOTA_EXCEEDED


def test_what_keeps_further_replicas_from_coming_makes_no_model_unready() -> None:
    told = told_of(a_view(replicas=2, ready=1, attempts=(NO_NODE,), refusal="exceeded quota: gpus"))
    assert told[ConditionType.READY].status is ConditionStatus.TRUE
    assert told[ConditionType.ACTIVE].status is ConditionStatus.TRUE


def test_nobody_is_hindered_where_nothing_is_wanted() -> None:
    view = a_view(replicas=0, ready=0, is_held=True, refusal="exceeded quota: gpus")
    assert told_of(view)[ConditionType.ACTIVE].reason is Reason.ASLEEP


def test_a_model_for_which_the_activator_has_no_port_is_told_so() -> None:
    told = told_of(a_view(front=Front("chat", ServiceShape(), has_ports=False)))[ConditionType.ROUTE_SUPPORTED]
    assert (told.status, told.reason) == (ConditionStatus.FALSE, Reason.HOLDING_PORTS_EXHAUSTED)
    assert "activator.ports" in told.message
