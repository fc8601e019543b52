"""Whole operator processes beside one API server: who leads, what happens when it goes, and bad days of the server."""

from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from bodies import a_deployment, a_pod
from builders import a_body, a_spec
from fake_cluster import DEPLOYMENTS, MODELS, PODS
from watched_cluster import LEASE, Replica, Stage, WatchedCluster, staged

CHAT = f"{MODELS}/chat"


@pytest.fixture
def stage() -> Iterator[Stage]:
    cluster = WatchedCluster().has(MODELS, a_body()).has(DEPLOYMENTS, a_deployment()).has(PODS, a_pod("chat-0"))
    assert isinstance(cluster, WatchedCluster)
    with staged(cluster) as found:
        yield found


def ask(replica: Replica, path: str) -> tuple[int, str]:
    """What the replica's health server answers; 0 when it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{replica.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def led_by(stage: Stage, name: str) -> Replica:
    """A replica that leads and has planned."""
    replica = stage.start(name)
    stage.until(lambda: replica.leads(stage.cluster) and ask(replica, "/readyz") == (200, "ok\n"))
    return replica


def beside(stage: Stage, name: str) -> Replica:
    """A replica that stands by, and has read whom it stands beside."""
    replica = stage.start(name)
    stage.until(lambda: ask(replica, "/readyz") == (200, "standby\n"))
    has_read = 'lull_api_requests_total{code="200",resource="leases",verb="GET"}'
    stage.until(lambda: has_read in ask(replica, "/metrics")[1])
    return replica


def gave_back(stage: Stage, name: str) -> bool:
    """Whether a replica made the Lease nobody's."""
    sent = [r for r in stage.peer.requests if r.path == LEASE and r.headers.get("authorization") == f"Bearer {name}"]
    return any(json.loads(r.body)["spec"]["holderIdentity"] == "" for r in sent if r.verb == "PATCH")


def test_of_two_replicas_one_acts_and_the_other_is_ready_and_passes_questions_on(stage: Stage) -> None:
    leader, other = led_by(stage, "a"), beside(stage, "b")
    assert ask(leader, "/healthz")[0] == ask(other, "/healthz")[0] == 200
    assert "lull_leader 1.0" in ask(leader, "/metrics")[1]
    told = ask(other, "/metrics")[1]
    assert "lull_leader 0.0" in told
    assert "lull_model_" not in told.replace("# ", "").partition("namespace=")[2]
    status, answer = ask(other, "/explain/demo/chat")
    assert status == 200
    assert json.loads(answer)["decision"] == json.loads(ask(leader, "/explain/demo/chat")[1])["decision"]
    assert ask(other, "/explain/demo/chta")[0] == 404
    holders = {json.loads(r.body)["spec"]["holderIdentity"] for r in stage.peer.requests if r.path == LEASE and r.body}
    assert {holder.partition("_")[0] for holder in holders} == {"a"}


def test_a_killed_leader_is_followed_within_fifteen_seconds(stage: Stage) -> None:
    leader, other = led_by(stage, "a"), beside(stage, "b")
    stage.cluster.objects[CHAT].pop("status")
    leader.process.kill()
    assert stage.until(lambda: other.leads(stage.cluster)) < 15.0
    stage.until(lambda: stage.cluster.objects[CHAT].get("status"))
    stage.until(lambda: ask(other, "/readyz") == (200, "ok\n"))


def test_a_leader_that_is_told_to_stop_hands_over_at_once(stage: Stage) -> None:
    leader, other = led_by(stage, "a"), beside(stage, "b")
    leader.process.terminate()
    stage.until(lambda: other.leads(stage.cluster))
    assert gave_back(stage, "a"), "the other one did not wait until the Lease ran out"
    assert leader.ends() == 0


def test_a_standby_that_is_told_to_stop_leaves_the_leader_alone(stage: Stage) -> None:
    leader, other = led_by(stage, "a"), beside(stage, "b")
    other.process.terminate()
    assert other.ends() == 0
    time.sleep(1.5)
    assert leader.leads(stage.cluster)
    assert leader.process.poll() is None


def test_a_leader_that_was_paused_writes_nothing_when_it_goes_on(stage: Stage) -> None:
    """The news that came meanwhile wait in its sockets: a leader would write about them."""
    leader, other = led_by(stage, "a"), beside(stage, "b")
    leader.process.send_signal(signal.SIGSTOP)
    stage.until(lambda: other.leads(stage.cluster))
    stage.cluster.adds(MODELS, a_body("late"))
    stage.until(lambda: ("PATCH", f"{MODELS}/late/status") in stage.writes_of("b", since=0))
    since = len(stage.peer.requests)
    leader.process.send_signal(signal.SIGCONT)
    assert leader.ends() == 1
    assert stage.writes_of("a", since) == []
    assert stage.writes_of("a", since=0), "as a leader it did write"
    assert other.leads(stage.cluster)


def test_an_error_in_a_watch_ends_the_leader_which_hands_over_at_once(stage: Stage) -> None:
    """kopf 1.45.2 ends on any watch error but 410."""
    leader, other = led_by(stage, "a"), beside(stage, "b")
    stage.cluster.errors["pods"] = {"kind": "Status", "code": 500, "message": "etcd is slow"}
    stage.until(lambda: other.leads(stage.cluster))
    assert gave_back(stage, "a"), "the other one did not wait until the Lease ran out"
    assert leader.ends() == 1
    assert "etcd is slow" in leader.log.read_text().splitlines()[-1]
    stage.cluster.adds(PODS, a_pod("chat-1"))
    stage.until(lambda: 'lull_model_replicas_ready{name="chat",namespace="demo"} 2.0' in ask(other, "/metrics")[1])


def test_an_expired_watch_ends_nobody(stage: Stage) -> None:
    leader = led_by(stage, "a")
    stage.cluster.errors["pods"] = {"kind": "Status", "code": 410, "message": "too old resource version"}
    stage.until(lambda: not stage.cluster.errors)
    stage.cluster.adds(PODS, a_pod("chat-1"))
    stage.until(lambda: 'lull_model_replicas_ready{name="chat",namespace="demo"} 2.0' in ask(leader, "/metrics")[1])
    assert leader.process.poll() is None


def test_without_the_api_server_the_leader_ends_and_the_standby_waits_for_its_return(stage: Stage) -> None:
    leader, other = led_by(stage, "a"), beside(stage, "b")
    stage.cluster.is_gone = True
    assert leader.ends(15.0) == 1
    sent = len(stage.cluster.sent)
    again = stage.start("a")
    stage.until(lambda: ask(again, "/healthz") == (200, "ok\n"))
    time.sleep(4.0)
    assert [ask(replica, "/healthz")[0] for replica in (again, other)] == [200, 200]
    assert len(stage.cluster.sent) == sent
    stage.cluster.is_gone = False
    stage.until(lambda: other.leads(stage.cluster) or again.leads(stage.cluster), within_s=15.0)
    stage.until(lambda: sorted(ask(replica, "/readyz")[1] for replica in (again, other)) == ["ok\n", "standby\n"])


def test_a_throttling_api_server_is_waited_for(stage: Stage) -> None:
    """429 with Retry-After to the first lists, ours and then kopf's."""
    stage.cluster.busy_left = 10
    leader = led_by(stage, "a")
    stage.until(lambda: not stage.cluster.busy_left)
    stage.cluster.adds(PODS, a_pod("chat-1"))
    stage.until(lambda: 'lull_model_replicas_ready{name="chat",namespace="demo"} 2.0' in ask(leader, "/metrics")[1])
    assert leader.process.poll() is None


def many(stage: Stage, count: int) -> list[str]:
    """As many models more, each with a target and a pod."""
    names = [f"m{number}" for number in range(count)]
    specs = (a_spec(scaleTargetRef={"kind": "Deployment", "name": name}) for name in names)
    stage.cluster.has(MODELS, *(a_body(name, spec=spec) for name, spec in zip(names, specs, strict=True)))
    stage.cluster.has(DEPLOYMENTS, *map(a_deployment, names))
    stage.cluster.has(PODS, *(a_pod(f"{name}-0", labels={"app": name}) for name in names))
    return names


def test_a_thousand_models_at_start_cost_no_leadership_and_a_write_each(stage: Stage) -> None:
    names = many(stage, 1000)
    leader = led_by(stage, "a")
    stage.until(lambda: all("status" in stage.cluster.objects[f"{MODELS}/{name}"] for name in names))
    holder = stage.cluster.holder
    time.sleep(3.0)
    assert stage.cluster.holder == holder
    assert leader.process.poll() is None
    written = [path for verb, path in stage.cluster.writes() if path != LEASE]
    assert max(written.count(path) for path in set(written)) <= 2, "state once, and no more without news"
    lists = [r for r in stage.cluster.sent if r.path == "/api/v1/pods"]
    assert len(lists) == 4, "three pages for us, one list for kopf"


def test_hundreds_of_writes_that_hang_do_not_keep_the_lease_from_being_renewed(stage: Stage) -> None:
    """The connections of one client are a hundred: the election has its own."""
    many(stage, 300)
    stage.cluster.slow_s = 20.0
    replica = stage.start("a")
    stage.until(lambda: sum(path.endswith("/status") for _, path in stage.cluster.writes()) >= 100)
    holder = stage.cluster.holder
    time.sleep(7.0)  # longer than the deadline
    assert stage.cluster.holder == holder
    assert replica.process.poll() is None


def test_without_a_namespace_an_operator_says_what_to_set(stage: Stage) -> None:
    replica = stage.start("a", POD_NAMESPACE="", POD_NAME="")
    assert replica.ends() == 2
    told = replica.log.read_text().splitlines()
    assert [line.partition(":")[2].split(":")[0].strip() for line in told] == ["POD_NAMESPACE", "POD_NAME"]
    assert all("LULL_LEADER_ELECTION=false" in line for line in told)


def test_alone_and_without_an_election_it_plans_at_once(stage: Stage) -> None:
    replica = stage.start("a", POD_NAMESPACE="", POD_NAME="", LULL_LEADER_ELECTION="false")
    stage.until(lambda: ask(replica, "/readyz") == (200, "ok\n"))
    assert "lull_leader 1.0" in ask(replica, "/metrics")[1]
    assert LEASE not in stage.cluster.objects
