"""Whether a wake can go on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.decide.hinder import PATIENCE_S, blocked_by
from lull.model.hindrance import Attempt, Hindrance, Obstacle
from lull.model.reason import Reason

NOW_S = 1_000_000.0
NO_NODE = Hindrance(Obstacle.NODE, "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", NOW_S - 60.0)
NO_IMAGE = Hindrance(Obstacle.IMAGE, 'Back-off pulling image "chat:nope"')
QUOTA = 'pods "chat-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: 4, limited: 4'


def attempts(*hindrances: Hindrance | None) -> list[Attempt]:
    return [Attempt(f"chat-{number}", hindrance) for number, hindrance in enumerate(hindrances)]


@pytest.mark.parametrize(
    ("hindrances", "refusal", "reason"),
    [
        pytest.param((), None, None, id="no pod yet"),
        pytest.param((), QUOTA, Reason.QUOTA_EXCEEDED, id="no pod may be made"),
        pytest.param((), "admission webhook denied the request", None, id="refused for something else"),
        pytest.param((None,), None, None, id="it starts"),
        pytest.param((None,), QUOTA, None, id="one starts, and further ones may not"),
        pytest.param((NO_NODE,), None, Reason.NO_CAPACITY, id="no node"),
        pytest.param((NO_IMAGE,), None, Reason.IMAGE_PULL, id="no image"),
        pytest.param((NO_NODE,), QUOTA, Reason.NO_CAPACITY, id="the pod that is there counts"),
        pytest.param((NO_NODE, None), None, None, id="one of two starts"),
        pytest.param((NO_NODE, NO_IMAGE, NO_IMAGE), None, Reason.IMAGE_PULL, id="what most of them meet"),
    ],
)
def test_a_wake_is_blocked_when_no_pod_can_come(
    hindrances: tuple[Hindrance | None, ...], refusal: str | None, reason: Reason | None
) -> None:
    fault = blocked_by(attempts(*hindrances), refusal, NOW_S)
    assert (fault.reason if fault else None) is reason


@pytest.mark.parametrize(
    ("hindrances", "refusal", "says"),
    [
        pytest.param((NO_NODE,), None, "3 Insufficient nvidia.com/gpu", id="node"),
        pytest.param((NO_IMAGE,), None, "chat:nope", id="image"),
        pytest.param((), QUOTA, "limited: 4", id="quota"),
    ],
)
def test_the_clusters_own_words_are_told(hindrances: tuple[Hindrance, ...], refusal: str | None, says: str) -> None:
    fault = blocked_by(attempts(*hindrances), refusal, NOW_S)
    assert fault is not None
    assert says in fault.message
    if hindrances:
        assert fault.message.startswith("pod chat-0 ")


@pytest.mark.parametrize(("for_s", "blocked"), [(0.0, False), (PATIENCE_S - 0.1, False), (PATIENCE_S, True)])
def test_the_scheduler_is_given_a_moment(for_s: float, blocked: bool) -> None:
    lately = Hindrance(Obstacle.NODE, "0/1 nodes", NOW_S - for_s)
    assert (blocked_by(attempts(lately), None, NOW_S) is not None) is blocked


def test_who_does_not_say_since_when_is_believed_at_once() -> None:
    assert blocked_by(attempts(Hindrance(Obstacle.NODE, "0/1 nodes")), None, NOW_S) is not None


@given(st.lists(st.sampled_from([None, NO_NODE, NO_IMAGE]), max_size=6), st.sampled_from([None, QUOTA]))
def test_the_order_of_pods_decides_no_reason_and_one_that_starts_is_enough(
    hindrances: list[Hindrance | None], refusal: str | None
) -> None:
    found = blocked_by(attempts(*hindrances), refusal, NOW_S)
    turned = blocked_by(list(reversed(attempts(*hindrances))), refusal, NOW_S)
    assert found == turned
    if None in hindrances:
        assert found is None
