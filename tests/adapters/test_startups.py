"""Pods that became Ready, as starts; the pods are read from what the API server delivers."""

from __future__ import annotations

from typing import Any

import pytest

from bodies import a_started_pod
from lull.adapters.objects import read_pod
from lull.adapters.startups import IMAGES_MOST, Startups
from lull.model.start import Start

COLD = (2, 42, 100)
"""Scheduled after two seconds, forty seconds of pull, almost a minute of loading."""
WARM = (2, 5, 63)


def starts(seen: Startups, *bodies: dict[str, Any]) -> list[Start]:
    return seen.starts_of({"uid-chat": [read_pod(body) for body in bodies]})


def test_a_start_is_told_in_phases() -> None:
    (start,) = starts(Startups(), a_started_pod(after_s=(2, 5, 63)))
    assert start == Start("uid-chat", 2.0, 3.0, 58.0, is_cold_node=False, is_first=True, is_pull_alone=True)
    assert start.total_s == 63.0


def test_a_pod_counts_once_however_often_it_becomes_ready() -> None:
    seen = Startups()
    assert starts(seen, a_started_pod(after_s=(2, 5, None))) == []
    assert len(starts(seen, a_started_pod(after_s=WARM))) == 1
    assert starts(seen, a_started_pod(after_s=(2, 5, None))) == []
    assert starts(seen, a_started_pod(after_s=(2, 5, 900))) == []


def test_a_pod_that_comes_back_under_its_name_counts_again() -> None:
    """As a StatefulSet's pods do, with another uid."""
    seen = Startups()
    starts(seen, a_started_pod("chat-0", uid="first"))
    assert len(starts(seen, a_started_pod("chat-0", uid="second", created_s=500))) == 1


def test_pods_of_a_model_that_is_gone_for_a_moment_do_not_count_twice() -> None:
    seen = Startups()
    assert len(starts(seen, a_started_pod())) == 1
    assert starts(seen) == []
    assert starts(seen, a_started_pod()) == []


def test_a_model_that_was_made_anew_is_taught_by_the_pods_that_are_there() -> None:
    """As when somebody deletes an InferenceDeployment and adopts the workload again."""
    seen, pod = Startups(), read_pod(a_started_pod())
    assert [start.model_uid for start in seen.starts_of({"first": [pod]})] == ["first"]
    assert [start.model_uid for start in seen.starts_of({"second": [pod]})] == ["second"]
    assert seen.starts_of({"second": [pod]}) == []


def test_a_model_that_comes_back_is_taught_again_and_the_others_are_not() -> None:
    """What was learned of it has gone with it."""
    seen, pod, other = Startups(), read_pod(a_started_pod("a")), read_pod(a_started_pod("b"))
    seen.starts_of({"chat": [pod], "search": [other]})
    assert seen.starts_of({"search": [other]}) == []
    assert [start.model_uid for start in seen.starts_of({"chat": [pod], "search": [other]})] == ["chat"]


def test_pods_that_two_models_share_teach_both() -> None:
    pod = read_pod(a_started_pod())
    assert [start.model_uid for start in Startups().starts_of({"a": [pod], "b": [pod]})] == ["a", "b"]


def test_starts_are_told_in_the_order_they_were_done() -> None:
    """An operator that comes late finds many pods at once, and what came last counts most."""
    bodies = [a_started_pod(f"chat-{at_s}", created_s=at_s, after_s=(1, 2, 3 + at_s)) for at_s in (300, 100, 200)]
    assert [start.total_s for start in starts(Startups(), *bodies)] == [103.0, 203.0, 303.0]


def test_each_start_is_of_its_own_model() -> None:
    pods = {uid: [read_pod(a_started_pod(uid))] for uid in ("chat", "search")}
    assert [start.model_uid for start in Startups().starts_of(pods)] == ["chat", "search"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(a_started_pod(restarts=1), id="restarted"),
        pytest.param(a_started_pod(after_s=(2, 5, 3700)), id="longer than an hour"),
        pytest.param(a_started_pod(after_s=(2, 5, -30), created_s=600), id="Ready before it was created"),
        pytest.param(a_started_pod(after_s=(2, 90, 60)), id="Ready long before its container ran"),
        pytest.param(a_started_pod(after_s=(2, None, 60)), id="Ready, its container not told"),
        pytest.param(a_started_pod(after_s=(None, 5, 60)), id="Ready, its scheduling not told"),
        pytest.param(a_started_pod(leaving=True), id="on its way out"),
    ],
)
def test_failed_and_absurd_starts_are_left_out(body: dict[str, Any]) -> None:
    assert starts(Startups(), body) == []


def test_a_start_that_was_left_out_stays_out() -> None:
    seen = Startups()
    assert starts(seen, a_started_pod(restarts=1)) == []
    assert starts(seen, a_started_pod(restarts=0)) == []


def test_clocks_that_differ_a_little_cost_no_start() -> None:
    (start,) = starts(Startups(), a_started_pod(after_s=(4, 2, 60)))
    assert (start.scheduling_s, start.image_s, start.loading_s) == (4.0, 0.0, 58.0)


def test_the_first_pod_of_an_image_on_a_node_had_to_pull() -> None:
    seen = Startups()
    (first,) = starts(seen, a_started_pod("a", after_s=COLD))
    (second,) = starts(seen, a_started_pod("b", after_s=COLD, created_s=500))
    (elsewhere,) = starts(seen, a_started_pod("c", after_s=COLD, created_s=500, node="node-b"))
    (other,) = starts(seen, a_started_pod("d", after_s=COLD, created_s=500, image="sha256:2"))
    assert [s.is_cold_node for s in (first, second, elsewhere, other)] == [True, False, True, True]


def test_a_node_that_had_the_image_already_is_warm_although_nobody_saw_it() -> None:
    """After a restart of the operator every pod is a first one; without seconds of pull it was none."""
    (start,) = starts(Startups(), a_started_pod(after_s=WARM))
    assert not start.is_cold_node


def test_pods_that_wait_for_one_pull_are_cold_together() -> None:
    both = [a_started_pod(name, after_s=COLD, created_s=at_s) for name, at_s in (("a", 0), ("b", 10))]
    assert [start.is_cold_node for start in starts(Startups(), *both)] == [True, True]


@pytest.mark.parametrize("order", [("early", "late"), ("late", "early")])
def test_the_order_in_which_pods_are_told_says_nothing(order: tuple[str, str]) -> None:
    bodies = {
        "early": a_started_pod("a", after_s=COLD),
        "late": a_started_pod("b", after_s=COLD, created_s=500),
    }
    found = Startups().starts_of({name: [read_pod(bodies[name])] for name in order})
    assert {start.model_uid: start.is_cold_node for start in found} == {"early": True, "late": False}


def test_a_pod_that_is_not_ready_yet_shows_the_image_on_its_node() -> None:
    seen = Startups()
    starts(seen, a_started_pod("a", after_s=(2, 42, None)))
    (later,) = starts(seen, a_started_pod("b", after_s=COLD, created_s=500))
    assert not later.is_cold_node


def test_what_is_remembered_is_bounded() -> None:
    seen = Startups()
    for generation in range(30):
        bodies = [a_started_pod(f"{generation}-{i}", node=f"{generation}-{i}") for i in range(200)]
        assert len(starts(seen, *bodies)) == 200
    assert len(seen._judged) <= 2 * 200 + 1000
    seen._there_since_s = {(str(i), "image"): 0.0 for i in range(IMAGES_MOST)}
    starts(seen, a_started_pod("last", node="last"))
    assert len(seen._there_since_s) == IMAGES_MOST
    assert ("last", "sha256:1") in seen._there_since_s


def test_the_first_pull_of_an_image_is_known_as_such() -> None:
    seen = Startups()
    (first,) = starts(seen, a_started_pod("a", after_s=COLD, node="node-a"))
    (second,) = starts(seen, a_started_pod("b", after_s=COLD, created_s=500, node="node-b"))
    assert (first.is_cold_node, first.is_first) == (True, True)
    assert (second.is_cold_node, second.is_first) == (True, False)


def test_several_that_pull_an_image_at_once_are_all_first() -> None:
    pods = [a_started_pod(node, after_s=COLD, node=node) for node in ("node-a", "node-b")]
    assert [start.is_first for start in starts(Startups(), *pods)] == [True, True]


def test_an_init_container_may_hide_how_long_a_pull_was() -> None:
    pod = a_started_pod(after_s=COLD)
    pod["spec"]["initContainers"] = [{"name": "weights"}]
    (start,) = starts(Startups(), pod)
    assert not start.is_pull_alone
