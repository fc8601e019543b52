"""The Lease over a real socket: made, read, replaced by who read it last."""

from __future__ import annotations

import pytest

from fake_cluster import LEASES, FakeCluster, refused
from loopback import Reply
from lull.adapters.api import Api
from lull.adapters.lease import Lease
from lull.errors import BadAnswer, Refused, Unreachable
from lull.model.lease import LeaseRecord

PATH = f"{LEASES}/lull-operator"


def a_lease(api: Api) -> Lease:
    return Lease(api, "lull-system", 8.0)


def read(cluster: FakeCluster) -> LeaseRecord | None:
    return cluster.do(lambda api: a_lease(api).read(5.0))


def made(cluster: FakeCluster, holder: str = "a") -> LeaseRecord:
    return cluster.do(lambda api: a_lease(api).create(holder, "10.0.0.1:8080", 5.0))


def test_where_there_is_none_none_is_read() -> None:
    assert read(FakeCluster()) is None


def test_a_lease_that_was_made_is_read_as_it_was_made() -> None:
    cluster = FakeCluster()
    record = made(cluster)
    assert read(cluster) == record == LeaseRecord("a", record.version, 8.0, 0, "10.0.0.1:8080")
    spec = cluster.objects[PATH]["spec"]
    assert (spec["leaseDurationSeconds"], spec["acquireTime"]) == (8, spec["renewTime"])


def test_only_one_makes_it() -> None:
    cluster = FakeCluster()
    made(cluster)
    with pytest.raises(Refused) as late:
        made(cluster, "b")
    assert late.value.status == 409


def test_a_renewal_is_another_edition_and_no_transition() -> None:
    cluster = FakeCluster()
    first = made(cluster)
    acquired = cluster.objects[PATH]["spec"]["acquireTime"]
    again = cluster.do(lambda api: a_lease(api).replace(first, "a", "x", 5.0))
    assert again.version != first.version
    assert (again.holder, again.transitions) == ("a", 0)
    assert cluster.objects[PATH]["spec"]["acquireTime"] == acquired


def test_another_holder_is_a_transition_and_labels_stay() -> None:
    cluster = FakeCluster()
    first = made(cluster)
    cluster.objects[PATH]["metadata"]["labels"] = {"team": "platform"}
    other = cluster.do(lambda api: a_lease(api).replace(first, "b", "y", 5.0))
    assert (other.holder, other.transitions, other.address) == ("b", 1, "y")
    assert cluster.objects[PATH]["metadata"]["labels"] == {"team": "platform"}


def test_who_read_an_older_edition_is_refused() -> None:
    cluster = FakeCluster()
    first = made(cluster)
    cluster.do(lambda api: a_lease(api).replace(first, "a", "x", 5.0))
    with pytest.raises(Refused) as late:
        cluster.do(lambda api: a_lease(api).replace(first, "b", "y", 5.0))
    assert late.value.status == 409
    assert cluster.objects[PATH]["spec"]["holderIdentity"] == "a"


def test_a_silent_server_is_given_up_in_time() -> None:
    cluster = FakeCluster()
    cluster.refusals["GET", PATH] = Reply(b"{}", after_s=60.0)
    with pytest.raises(Unreachable, match=r"within 0\.2 s"):
        cluster.do(lambda api: a_lease(api).read(0.2))


@pytest.mark.parametrize(("reply", "error"), [(refused(403), Refused), (Reply(b"{}"), BadAnswer)])
def test_what_is_no_lease_is_told(reply: Reply, error: type[Exception]) -> None:
    cluster = FakeCluster()
    cluster.refusals["GET", PATH] = reply
    with pytest.raises(error):
        read(cluster)


def test_a_lease_that_somebody_made_empty_is_free() -> None:
    cluster = FakeCluster().has(LEASES, {"metadata": {"name": "lull-operator", "resourceVersion": "7"}})
    assert read(cluster) == LeaseRecord("", "7", 0.0)


def test_the_election_waits_for_no_turn_and_asks_no_fence() -> None:
    """A fence that is closed, and a thousand writes before it."""
    cluster = FakeCluster()

    async def act(api: Api) -> LeaseRecord:
        api.may_write = lambda: False
        return await a_lease(api).create("a", "", 1.0)

    assert cluster.do(act).holder == "a"
