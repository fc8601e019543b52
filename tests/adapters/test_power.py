"""Watts by pod, as DCGM exporter tells them."""

from __future__ import annotations

from lull.adapters.power import power_of
from lull.adapters.prometheus import Row
from lull.model.spec import Key

CHAT = Key("demo", "chat-0")


def a_board(uuid: str, watts: float, pod: str = "chat-0", **labels: str) -> Row:
    return Row({"UUID": uuid, "namespace": "demo", "pod": pod} | labels, watts)


def test_the_boards_of_a_pod_add_up() -> None:
    assert power_of([a_board("a", 100.0), a_board("b", 120.0), a_board("c", 60.0, "rank-0")]) == {
        CHAT: 220.0,
        Key("demo", "rank-0"): 60.0,
    }


def test_the_pods_labels_are_found_where_the_exporters_own_stand_in_their_place() -> None:
    row = a_board("a", 90.0, "dcgm-x", namespace="gpu", exported_namespace="demo", exported_pod="chat-0")
    assert power_of([row]) == {CHAT: 90.0}


def test_a_board_that_is_shared_tells_of_nobody() -> None:
    rows = [a_board("a", 100.0), a_board("a", 100.0, "rank-0"), a_board("b", 50.0)]
    assert power_of(rows) == {}


def test_a_slice_and_a_number_that_is_none_are_left_out() -> None:
    assert power_of([a_board("a", 100.0, GPU_I_ID="1")]) == {}
    assert power_of([a_board("a", 9.2e18)]) == {}
    assert power_of([a_board("a", 80.0), a_board("b", 9.2e18)]) == {}, "half of a pod's boards is not its power"


def test_a_board_of_no_pod_is_nobodys() -> None:
    assert power_of([Row({"UUID": "a"}, 70.0)]) == {}
