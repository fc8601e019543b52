"""What the cluster says, as the table keeps it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from activator_cluster import a_sleeper
from bodies import a_slice
from fake_cluster import Body
from lull.activator.gate import Blocked, Endpoint
from lull.activator.table import Table, read_sleeper
from lull.hold.ignore import DEFAULT_PATHS, DEFAULT_USER_AGENTS
from lull.model.spec import Key

CHAT = Key("demo", "chat")
EPOCH = "1970-01-01T00:01:40Z"
"""Second 100."""


def a_table(*models: Body, slices: tuple[Body, ...] = ()) -> Table:
    table = Table(range(20000, 30000))
    for body in models:
        table.put_model(body)
    for body in slices:
        table.put_slice(body)
    return table


def policy_of(**changes: Any) -> Any:
    return read_sleeper(a_sleeper("chat", 20000, **changes), None).policy


def test_a_policy_is_what_spec_and_status_say() -> None:
    sleep = {"holdTimeout": "90s", "maxHeld": 7, "ignore": {"paths": ["/x"], "userAgents": []}}
    policy = policy_of(sleep=sleep, hold={"expectedStart": "1m5s"})
    assert (policy.hold_timeout_s, policy.max_held, policy.expected_start_s) == (90.0, 7, 65.0)
    assert (policy.ignore.paths, policy.ignore.user_agents) == (("/x",), ())


def test_what_is_not_said_is_the_default_and_an_unknown_start_is_unknown() -> None:
    policy = policy_of()
    assert (policy.hold_timeout_s, policy.max_held) == (60.0, 1000)
    assert (policy.ignore.paths, policy.ignore.user_agents) == (DEFAULT_PATHS, DEFAULT_USER_AGENTS)
    assert policy.expected_start_s is None
    assert policy_of(hold={"expectedStart": "soon"}).expected_start_s is None


@pytest.mark.parametrize("reason", ["NoCapacity", "QuotaExceeded", "ImagePull"])
def test_a_wake_that_cannot_go_on_is_blocked(reason: str) -> None:
    active = {"type": "Active", "status": "False", "reason": reason, "message": "why"}
    other = {"type": "Ready", "status": "False", "reason": "NoReadyPods", "message": ""}
    assert policy_of(conditions=[other, active]).blocked == Blocked(reason, "why")
    assert policy_of(conditions=[active | {"status": "True"}]).blocked is None
    assert policy_of(conditions=[active | {"type": "Ready"}]).blocked is None


def test_sleep_is_no_block() -> None:
    assert policy_of(conditions=[{"type": "Active", "status": "False", "reason": "Asleep"}]).blocked is None


@pytest.mark.parametrize(
    ("hold", "open_at"),
    [
        pytest.param({"state": "Preparing"}, {0.0, 99.0, 101.0}, id="preparing"),
        pytest.param({"state": "Attached"}, {0.0, 99.0, 101.0}, id="attached"),
        pytest.param({"state": "Quarantined", "until": EPOCH}, {0.0, 99.0}, id="quarantined until second 100"),
        pytest.param({"state": "Quarantined"}, {0.0, 99.0, 101.0}, id="quarantined, nobody says until when"),
    ],
)
def test_ports_are_wanted_as_the_hold_says(hold: dict[str, str], open_at: set[float]) -> None:
    table = a_table(a_sleeper("chat", 20001, hold=hold))
    for now_s in (0.0, 99.0, 101.0):
        assert table.wanted(now_s) == ({20001: ("uid-demo-chat", "http")} if now_s in open_at else {})
    assert table.next_change_s(0.0) == (100.0 if "until" in hold else None)
    assert table.next_change_s(101.0) is None


def test_only_the_activators_own_ports_are_wanted() -> None:
    assert a_table(a_sleeper("chat", 8081)).wanted(0.0) == {}


def test_of_two_models_with_one_port_the_attached_one_has_it() -> None:
    leaving = a_sleeper("a", 20001, hold={"state": "Quarantined"})
    coming = a_sleeper("b", 20001, hold={"state": "Preparing"})
    attached = a_sleeper("c", 20001)
    assert a_table(leaving, coming).wanted(0.0)[20001][0] == "uid-demo-b"
    assert a_table(attached, coming, leaving).wanted(0.0)[20001][0] == "uid-demo-c"


def test_a_model_without_a_hold_is_not_held_for() -> None:
    body = a_sleeper("chat", 20001)
    table = a_table(body)
    del body["status"]["hold"]
    table.put_model(body)
    assert table.sleepers == {}
    del body["status"]
    table.put_model(body)


def test_a_model_that_was_never_readable_is_left_out_and_costs_nobody_else() -> None:
    odd = a_sleeper("odd", 20001, hold={"state": "Unheard"})
    table = a_table(odd, a_sleeper("chat", 20002))
    assert set(table.wanted(0.0)) == {20002}


def test_a_spec_of_tomorrow_leaves_the_policy_as_it_was_and_takes_the_hold_of_today() -> None:
    body = a_sleeper("chat", 20001, sleep={"holdTimeout": "90s"})
    table = a_table(body)
    later = copy.deepcopy(body)
    later["spec"]["slo"] = None
    later["status"]["hold"]["ports"][0]["holdingPort"] = 20009
    table.put_model(later)
    assert set(table.wanted(0.0)) == {20009}
    assert table.sleepers["uid-demo-chat"].policy.hold_timeout_s == 90.0


def test_endpoints_are_the_ready_own_pods_of_all_slices_by_the_ports_name() -> None:
    one = a_slice("chat-1", ready=("10.0.0.2", "10.0.0.1"), leaving=("10.0.0.9",), ports={"http": 8000, "grpc": 8001})
    two = a_slice("chat-2", ready=("10.0.0.3",), ports={"http": 9000})
    other = a_slice("other-1", service="other", ready=("10.9.0.1",))
    ours = a_slice("chat-lull", ready=("10.5.0.1",), ports={"http": 20001})
    ours["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "lull.dev"
    table = a_table(slices=(one, two, other, ours))
    assert table.endpoints(CHAT) == {
        "http": (Endpoint("10.0.0.1", 8000), Endpoint("10.0.0.2", 8000), Endpoint("10.0.0.3", 9000)),
        "grpc": (Endpoint("10.0.0.1", 8001), Endpoint("10.0.0.2", 8001)),
    }
    assert table.endpoints(Key("demo", "nobody")) == {}
    assert table.lists("10.5.0.1")
    assert not table.lists("10.0.0.1")


def test_a_slice_that_is_gone_or_changed_hands_serves_no_longer() -> None:
    table = a_table(slices=(a_slice("chat-1", ready=("10.0.0.1",)),))
    assert table.put_slice(a_slice("chat-1", service="other", ready=("10.0.0.1",))) == {CHAT, Key("demo", "other")}
    assert table.endpoints(CHAT) == {}
    assert table.drop_slice(Key("demo", "chat-1")) == {Key("demo", "other")}
    assert table.drop_slice(Key("demo", "chat-1")) == set()
    assert table.endpoints(Key("demo", "other")) == {}


def test_a_slice_that_cannot_be_read_changes_nothing() -> None:
    table = a_table(slices=(a_slice("chat-1", ready=("10.0.0.1",)),))
    broken = a_slice("chat-1", ready=("10.0.0.2",)) | {"ports": [{"name": "http", "port": "eighty"}]}
    with pytest.raises(ValueError, match="eighty"):
        table.put_slice(broken)
    assert table.endpoints(CHAT)["http"][0].host == "10.0.0.1"
