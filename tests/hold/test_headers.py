"""Which fields go on, and which requests are refused; the rest of the refusals is tried over a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.hold.headers import Field, end_to_end, fault_of, is_upgrade, request_fields

HOST = (b"Host", b"chat")
names = st.sampled_from((b"Host", b"X-A", b"x-b", b"TE", b"Upgrade", b"Content-Length", b"Cookie", b"Keep-Alive"))
fields = st.lists(names, max_size=8).map(lambda sent: [(name, b"%d" % at) for at, name in enumerate(sent)])


@given(fields, st.lists(names, max_size=4))
def test_what_goes_on_keeps_its_order_and_names_nothing_of_this_hop(sent: list[Field], named: list[bytes]) -> None:
    kept = end_to_end([*sent, (b"Connection", b", ".join(named))])
    hops = {b"te", b"upgrade", b"keep-alive"} | {name.lower() for name in named} - {b"host", b"content-length"}
    gone = [int(value) for name, value in sent if name.lower() in hops]
    assert [int(value) for _, value in kept] == [at for at in range(len(sent)) if at not in gone]


def test_who_asked_is_added_to_those_before() -> None:
    sent = [HOST, (b"x-forwarded-for", b"1.1.1.1, 2.2.2.2"), (b"X-Forwarded-For", b"3.3.3.3"), (b"Expect", b"x")]
    assert request_fields(sent, "10.0.0.9") == [HOST, (b"X-Forwarded-For", b"1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9")]


@pytest.mark.parametrize(
    ("sent", "upgrades"),
    [
        pytest.param([(b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"WebSocket")], True, id="both"),
        pytest.param([(b"Upgrade", b"websocket")], False, id="not for this hop"),
        pytest.param([(b"Connection", b"upgrade")], False, id="to nothing"),
        pytest.param([(b"Connection", b"upgrade"), (b"Upgrade", b"h2c")], False, id="to something else"),
        pytest.param([(b"Connection", b"upgrade"), (b"Upgrade", b"h2c, websocket")], False, id="to a choice"),
    ],
)
def test_what_is_an_upgrade(sent: list[Field], upgrades: bool) -> None:
    assert is_upgrade(sent, b"websocket") is upgrades


@pytest.mark.parametrize(
    ("method", "target", "version", "sent", "status"),
    [
        pytest.param("GET", "/", (1, 1), [HOST], None, id="fine"),
        pytest.param("GET", "/", (1, 0), [], None, id="HTTP/1.0 needs no host"),
        pytest.param("POST", "/", (1, 1), [HOST, (b"Content-Length", b"5")], None, id="a length"),
        pytest.param("POST", "/", (1, 1), [HOST, (b"Transfer-Encoding", b"Chunked")], None, id="chunks"),
        pytest.param("GET", "/", (2, 0), [HOST], 505, id="HTTP/2 in the wrong words"),
        pytest.param("CONNECT", "a:1", (1, 1), [HOST], 405, id="a tunnel"),
        pytest.param("OPTIONS", "*", (1, 1), [HOST], 400, id="no path"),
        pytest.param("GET", "/", (1, 1), [], 400, id="no host"),
        pytest.param("GET", "/", (1, 0), [HOST, HOST], 400, id="two hosts"),
        pytest.param("GET", "/", (1, 1), [HOST, (b"X", b"a\r\nb")], 400, id="two lines"),
        pytest.param("POST", "/", (1, 1), [HOST, (b"Content-Length", b"\xd9\xa5")], 400, id="a digit that is none"),
    ],
)
def test_which_requests_are_refused(
    method: str, target: str, version: tuple[int, int], sent: list[Field], status: int | None
) -> None:
    fault = fault_of(method, target, version, sent)
    assert (fault and fault[0]) == status
