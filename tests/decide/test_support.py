"""Which Services others can answer for, and what to do about the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import START_S, a_model, a_view
from lull.decide.conditions import conditions
from lull.decide.support import unsupported
from lull.model.plan import ConditionStatus, ConditionType
from lull.model.reason import Reason
from lull.model.route import Front, ServicePort, ServiceShape
from lull.settings import Mode

PLAIN = ServiceShape(ports=(ServicePort("http", 8000),))
FRONT = Front("chat", PLAIN)


def test_a_plain_service_can_be_routed() -> None:
    assert unsupported(FRONT) is None


@pytest.mark.parametrize(
    ("front", "reason", "mend"),
    [
        (Front(None, None), Reason.SERVICE_UNNAMED, "spec.serviceRef"),
        (Front("chat", None), Reason.SERVICE_NOT_FOUND, "create it"),
        (replace(FRONT, sharers=("demo/rank",)), Reason.SERVICE_SHARED, "demo/rank"),
        (replace(FRONT, has_mesh=True), Reason.MESH_IN_THE_WAY, "mesh"),
        (replace(FRONT, has_activator=False), Reason.NO_ACTIVATOR, "activator.enabled=true"),
    ],
)
def test_a_front_that_is_in_the_way_is_told_with_its_mend(front: Front, reason: Reason, mend: str) -> None:
    fault = unsupported(front)
    assert fault is not None
    assert fault.reason is reason
    assert mend in fault.message


@pytest.mark.parametrize(
    ("shape", "reason", "mend"),
    [
        ({"is_headless": True}, Reason.SERVICE_HEADLESS, "clusterIP"),
        ({"is_external": True}, Reason.SERVICE_ELSEWHERE, "ExternalName"),
        ({"selects": False}, Reason.SERVICE_WITHOUT_SELECTOR, "selector"),
        ({"is_local": True}, Reason.SERVICE_LOCAL, "internalTrafficPolicy"),
        ({"publishes_unready": True}, Reason.SERVICE_PUBLISHES_UNREADY, "publishNotReadyAddresses"),
        ({"families": ("IPv4", "IPv6")}, Reason.SERVICE_DUAL_STACK, "SingleStack"),
        ({"ports": (ServicePort("dns", 53, "UDP"),)}, Reason.SERVICE_NOT_TCP, "port 53 over UDP"),
        ({"ports": (*PLAIN.ports, ServicePort("s", 9, "SCTP"))}, Reason.SERVICE_NOT_TCP, "port 9 over SCTP"),
    ],
)
def test_a_service_that_cannot_be_routed_is_told_with_its_mend(
    shape: dict[str, Any], reason: Reason, mend: str
) -> None:
    fault = unsupported(replace(FRONT, shape=replace(PLAIN, **shape)))
    assert fault is not None
    assert fault.reason is reason
    assert fault.message.startswith("Service 'chat' ")
    assert mend in fault.message


@pytest.mark.parametrize(
    ("front", "status", "reason", "says"),
    [
        (FRONT, ConditionStatus.TRUE, Reason.ROUTABLE, "wait at the activator"),
        (replace(FRONT, has_mesh=True), ConditionStatus.FALSE, Reason.MESH_IN_THE_WAY, "at least one replica"),
    ],
)
def test_the_condition_says_whether_the_model_can_sleep(
    front: Front, status: ConditionStatus, reason: Reason, says: str
) -> None:
    (told,) = (
        c
        for c in conditions(a_view(a_model(), front=front), Mode.ENFORCE, None, now_s=START_S)
        if c.type == "RouteSupported"
    )
    assert (told.status, told.reason) == (status, reason)
    assert says in told.message


def test_models_that_never_sleep_are_told_nothing_of_routes() -> None:
    kinds = {c.type for c in conditions(a_view(), Mode.ENFORCE, None, now_s=START_S)}
    assert ConditionType.ROUTE_SUPPORTED not in kinds
