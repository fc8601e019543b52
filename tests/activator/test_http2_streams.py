"""Streams through the activator, frame by frame: a client and a pod driven by hand."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

from h2_peers import GET, POST, Activator, Hand, Pod, activator, grpc_request, pod
from lull.activator.gate import Endpoint

WINDOW = 65_535
QUIET_S = 0.05


def told(story: Callable[[Activator, Hand, Pod], Coroutine[Any, Any, None]], **how: Any) -> None:
    """Runs a story; ``client`` and ``at_pod`` are given to the hands."""
    of_client, of_pod = how.pop("client", {}), how.pop("at_pod", {})

    async def main() -> None:
        async with activator(**how) as at, at.client(**of_client) as client, pod(**of_pod) as server:
            await asyncio.wait_for(story(at, client, server), 30)

    asyncio.run(main())


async def passed(
    at: Activator, client: Hand, server: Pod, *asked: Any, **more: Any
) -> tuple[int, Hand, RequestReceived]:
    """A stream that has reached the pod."""
    stream_id = client.ask(*asked, **more)
    at.wake(server)
    hand = await server.hand()
    return stream_id, hand, await hand.until(RequestReceived)


def test_headers_bytes_and_trailers_pass_as_they_are() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        headers = (*grpc_request(), ("key-bin", "AP8="), ("x-forwarded-for", "10.1.1.1"))
        one, hand, request = await passed(at, client, server, headers, b"body", ends=False)
        client.h2.send_headers(one, [("checksum", "7")], end_stream=True)
        client.flush()
        assert request.headers == [*headers[:-1], ("x-forwarded-for", "10.1.1.1, 127.0.0.1")]
        assert (await hand.until(TrailersReceived)).headers == [("checksum", "7")]
        hand.h2.send_headers(1, [(":status", "103"), ("link", "</a>")])
        hand.say(1, ((":status", "200"), ("content-type", "application/grpc")), b"answer", ends=False)
        hand.h2.send_headers(1, [("grpc-status", "0")], end_stream=True)
        hand.flush()
        await client.until(StreamEnded, one)
        assert client.all(InformationalResponseReceived)[0].headers == [(":status", "103"), ("link", "</a>")]
        head = client.all(ResponseReceived)[0].headers
        assert head[:2] == [(":status", "200"), ("content-type", "application/grpc")]
        assert [name for name, _ in head[2:]] in ([], ["lull-held-seconds"])
        assert (hand.bodies[1], client.bodies[one]) == (b"body", b"answer")
        assert client.all(TrailersReceived)[0].headers == [("grpc-status", "0")]
        await hand.until(StreamEnded)

    told(story)


def test_an_answer_of_headers_alone_stays_one() -> None:
    """gRPC reads a status only in the frame that ends the stream."""

    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, request = await passed(at, client, server, grpc_request())
        assert request.stream_ended is not None
        hand.say(1, ((":status", "200"), ("grpc-status", "5")))
        assert (await client.until(ResponseReceived, one)).stream_ended is not None

    told(story)


def test_held_bytes_are_bounded_by_the_window_and_pass_after_the_wake() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, two = client.ask(POST, b"x" * 16_384, ends=False), client.ask(POST, ends=False, body=b"")
        for _ in range(2):
            client.h2.send_data(one, b"x" * 16_384)
        client.h2.send_data(one, b"x" * (WINDOW - 3 * 16_384))
        client.flush()
        await at.until_held(2)
        await asyncio.sleep(QUIET_S)
        assert client.h2.local_flow_control_window(two) == 0  # of the connection: nothing was given back
        at.wake(server)
        hand = await server.hand()
        await hand.when(lambda: len(hand.bodies.get(1, b"")) == WINDOW)
        await client.when(lambda: client.h2.local_flow_control_window(two) == WINDOW)

    told(story)


def test_streams_reach_the_pod_in_order_also_where_it_takes_one_at_a_time() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        asked = [client.ask((*GET[:1], (":path", f"/{number}"), *GET[2:])) for number in range(6)]
        await at.until_held(6)
        at.wake(server)
        hand = await server.hand()
        for number, stream_id in enumerate(asked):
            request = await hand.until(RequestReceived, count=number + 1)
            assert dict(request.headers)[":path"] == f"/{number}"
            await asyncio.sleep(QUIET_S)
            assert len(hand.all(RequestReceived)) == number + 1
            hand.say(request.stream_id)
            await client.until(StreamEnded, stream_id)
        assert len(server.hands) == 1

    told(story, at_pod={"settings": {SettingCodes.MAX_CONCURRENT_STREAMS: 1}})


def test_who_leaves_while_the_pod_is_full_never_reaches_it() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, GET)
        two, three = client.ask(POST, b"mine", ends=False), client.ask()
        await asyncio.sleep(QUIET_S)
        client.h2.reset_stream(two, ErrorCodes.CANCEL)
        client.flush()
        await asyncio.sleep(QUIET_S)
        hand.say(1)
        await client.until(StreamEnded, one)
        hand.say((await hand.until(RequestReceived, count=2)).stream_id)
        await client.until(StreamEnded, three)
        assert [dict(request.headers)[":method"] for request in hand.all(RequestReceived)] == ["GET", "GET"]

    told(story, at_pod={"settings": {SettingCodes.MAX_CONCURRENT_STREAMS: 1}})


def test_a_client_that_does_not_read_stops_the_pod() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, GET)
        hand.say(1, ends=False)
        sent = 0
        while (room := min(hand.h2.local_flow_control_window(1), 16_384)) or sent < 2 * WINDOW:
            hand.h2.send_data(1, b"y" * room)
            sent += room
            hand.flush()
            await asyncio.sleep(QUIET_S)
        assert sent == 2 * WINDOW  # what the client's window took, and what waits in the activator
        assert len(client.bodies[one]) == WINDOW
        for frame in client.all(DataReceived):
            client.h2.acknowledge_received_data(frame.flow_controlled_length, one)
        client.acknowledges = True
        client.flush()
        await client.when(lambda: len(client.bodies[one]) == 2 * WINDOW)
        await hand.when(lambda: hand.h2.local_flow_control_window(1) > WINDOW // 2)

    told(story, client={"acknowledges": False})


def test_a_pod_that_does_not_read_stops_its_stream_and_no_other() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, POST, b"", ends=False)
        sent = 0
        while (room := min(client.h2.local_flow_control_window(one), 16_384)) or sent < 2 * WINDOW:
            client.h2.send_data(one, b"z" * room)
            sent += room
            client.flush()
            await asyncio.sleep(QUIET_S)
        assert sent == 2 * WINDOW
        two = client.ask(POST, b"small", ends=True)
        hand.h2.increment_flow_control_window(WINDOW)  # of the connection, not of the stream
        hand.flush()
        await hand.when(lambda: hand.bodies.get(3) == b"small")
        hand.say(3)
        await client.until(StreamEnded, two)
        assert len(hand.bodies[1]) == WINDOW

    told(story, at_pod={"acknowledges": False})


def test_a_client_that_does_not_read_one_answer_gets_the_others() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        _, hand, _ = await passed(at, client, server, GET)
        client.h2.increment_flow_control_window(WINDOW)  # of the connection, not of the stream
        two = client.ask()
        await hand.until(RequestReceived, 3)
        hand.say(1, ends=False)
        sent = 0
        while (room := min(hand.h2.local_flow_control_window(1), 16_384)) or sent < 2 * WINDOW:
            hand.h2.send_data(1, b"y" * room)
            sent += room
            hand.flush()
            await asyncio.sleep(QUIET_S)
        hand.say(3, body=b"small")
        await client.until(StreamEnded, two)
        assert client.bodies[two] == b"small"

    told(story, client={"acknowledges": False})


def test_a_client_may_ping_for_all_it_receives() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, GET)
        hand.say(1, ends=False)
        for count in range(1, 1501):
            hand.h2.send_data(1, b"token")
            hand.flush()
            await client.until(DataReceived, one, count)
            client.h2.ping(bytes(8))
        hand.h2.end_stream(1)
        hand.flush()
        await client.until(StreamEnded, one)

    told(story)


def test_a_client_that_resets_while_it_waits_frees_its_place() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, two = client.ask(POST, b"a" * 1000, ends=False), client.ask()
        await at.until_held(2)
        client.h2.reset_stream(one, ErrorCodes.CANCEL)
        client.flush()
        await at.until_held(1)
        at.wake(server)
        hand = await server.hand()
        hand.say((await hand.until(RequestReceived)).stream_id)
        await client.until(StreamEnded, two)
        assert [dict(request.headers)[":method"] for request in hand.all(RequestReceived)] == ["GET"]

    told(story)


def test_a_client_that_goes_while_it_waits_frees_its_places() -> None:
    async def story(at: Activator, client: Hand, _: Pod) -> None:
        client.ask(), client.ask()
        await at.until_held(2)
        await client.close()
        await at.until_held(0)

    told(story)


def test_resets_pass_both_ways_with_their_code() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, POST, b"", ends=False)
        two = client.ask(POST, b"", ends=False)
        await hand.until(RequestReceived, 3)
        client.h2.reset_stream(one, ErrorCodes.SETTINGS_TIMEOUT)
        client.flush()
        assert (await hand.until(StreamReset, 1)).error_code == ErrorCodes.SETTINGS_TIMEOUT
        hand.h2.reset_stream(3, ErrorCodes.INADEQUATE_SECURITY)
        hand.flush()
        assert (await client.until(StreamReset, two)).error_code == ErrorCodes.INADEQUATE_SECURITY

    told(story)


def test_a_client_that_goes_while_it_is_served_is_gone_at_the_pod() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        _, hand, _ = await passed(at, client, server, GET)
        await client.close()
        await hand.until_closed()

    told(story)


def test_a_pod_that_has_answered_may_stop_the_upload() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, POST, b"a" * 100, ends=False)
        hand.say(1, body=b"enough" * 2000)
        hand.h2.reset_stream(1, ErrorCodes.NO_ERROR)
        hand.flush()
        reset = await client.until(StreamReset, one)
        assert reset.error_code == ErrorCodes.NO_ERROR
        assert client.bodies[one] == b"enough" * 2000
        assert client.events.index(client.all(StreamEnded, one)[0]) < client.events.index(reset)

    told(story)


def test_an_answer_before_the_request_is_over_leaves_the_upload_running() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, POST, b"a", ends=False)
        hand.say(1)
        await client.until(StreamEnded, one)
        client.h2.send_data(one, b"b", end_stream=True)
        client.flush()
        await hand.until(StreamEnded, 1)
        assert hand.bodies[1] == b"ab"

    told(story)


@pytest.mark.parametrize(
    ("headers", "status", "grpc_status"),
    [pytest.param(GET, "502", None, id="plain"), pytest.param(grpc_request(), "200", "14", id="grpc")],
)
def test_a_pod_that_breaks_before_it_answers_is_told(headers: Any, status: str, grpc_status: str | None) -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, headers)
        await hand.close()
        head = dict((await client.until(ResponseReceived, one)).headers)
        assert (head[":status"], head.get("grpc-status")) == (status, grpc_status)
        assert len(server.hands) == 1  # it was never sent a second time

    told(story)


def test_a_pod_that_breaks_in_the_middle_of_a_grpc_answer_ends_it_with_a_status() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, grpc_request())
        hand.say(1, ((":status", "200"), ("content-type", "application/grpc")), b"half", ends=False)
        await client.until(DataReceived, one)
        await hand.close()
        assert dict((await client.until(TrailersReceived, one)).headers)["grpc-status"] == "14"

    told(story)


def test_a_pod_that_breaks_in_the_middle_of_a_plain_answer_never_makes_it_look_whole() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, GET)
        hand.say(1, body=b"half", ends=False)
        await client.until(DataReceived, one)
        await hand.close()
        assert (await client.until(StreamReset, one)).error_code == ErrorCodes.INTERNAL_ERROR
        assert client.all(StreamEnded, one) == []

    told(story)


@pytest.mark.parametrize("uploads", [False, True])
def test_a_whole_answer_is_passed_on_although_its_pod_is_gone(uploads: bool) -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, POST, b"a", ends=not uploads)
        hand.say(1, body=b"a" * 16_384, ends=False)
        hand.h2.send_data(1, b"b" * 16_384)
        hand.h2.send_data(1, b"c" * 16_384, end_stream=True)
        hand.flush()
        await client.until(DataReceived, one)
        await hand.close()
        await asyncio.sleep(QUIET_S)
        client.h2.increment_flow_control_window(100_000, one)
        client.flush()
        await client.until(StreamEnded, one)
        assert len(client.bodies[one]) == 3 * 16_384
        if uploads:
            assert (await client.until(StreamReset, one)).error_code == ErrorCodes.NO_ERROR

    told(story, client={"settings": {SettingCodes.INITIAL_WINDOW_SIZE: 10}})


def test_goaway_of_a_pod_lets_its_streams_end_and_sends_others_elsewhere() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, GET)
        two = client.ask()
        await hand.until(RequestReceived, 3)
        hand.raw(bytes.fromhex("000008 07 00 00000000 00000001 00000000"))
        assert (await client.until(StreamReset, two)).error_code == ErrorCodes.REFUSED_STREAM
        three = client.ask()
        other = await server.hand(1)
        other.say((await other.until(RequestReceived)).stream_id)
        await client.until(StreamEnded, three)
        hand.say(1, body=b"still here")
        await client.until(StreamEnded, one)
        assert client.bodies[one] == b"still here"
        await hand.until_closed()

    told(story)


def test_a_client_that_goes_is_gone_at_a_pod_that_takes_no_more_streams() -> None:
    async def story(at: Activator, client: Hand, server: Pod) -> None:
        _, hand, _ = await passed(at, client, server, GET)
        hand.raw(bytes.fromhex("000008 07 00 00000000 00000001 00000000"))
        client.ask()
        await (await server.hand(1)).until(RequestReceived)  # it stands at another connection's place now
        await client.close()
        await hand.until_closed()

    told(story)


async def _closes_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _speaks_http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    writer.close()


async def _says_goaway(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes.fromhex("000000 04 00 00000000 000008 07 00 00000000 00000000 00000000"))
    writer.close()


def test_a_pod_that_does_not_speak_http2_is_told_at_once_and_not_blamed() -> None:
    async def story(at: Activator, client: Hand, _: Pod) -> None:
        http1 = await asyncio.start_server(_speaks_http1, "127.0.0.1", 0)
        at.wake(Endpoint(*http1.sockets[0].getsockname()[:2]))
        one = client.ask()
        assert dict((await client.until(ResponseReceived, one)).headers)[":status"] == "502"
        assert at.gate.serves("grpc")
        http1.close()
        await http1.wait_closed()

    told(story)


@pytest.mark.parametrize("broken", [None, _closes_at_once, _says_goaway])
def test_an_endpoint_that_cannot_be_reached_is_passed_by(broken: Any) -> None:
    """Nothing of the request was sent there, so another may have it."""

    async def story(at: Activator, client: Hand, server: Pod) -> None:
        elsewhere = await asyncio.start_server(broken or _closes_at_once, "127.0.0.2", 0)
        bad = Endpoint(*elsewhere.sockets[0].getsockname()[:2])
        if broken is None:
            elsewhere.close()
        asked = [client.ask() for _ in range(4)]
        await at.until_held(4)
        at.wake(bad, server)
        hand = await server.hand()
        for count in range(1, 5):
            hand.say((await hand.until(RequestReceived, count=count)).stream_id)
        for stream_id in asked:
            assert dict((await client.until(ResponseReceived, stream_id)).headers)[":status"] == "200"
        elsewhere.close()
        await elsewhere.wait_closed()

    told(story)


def test_an_idle_connection_wakes_nobody_and_is_asked_to_go_after_the_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lull.activator.http2.client.CLOSING_S", 0.1)

    async def story(at: Activator, client: Hand, server: Pod) -> None:
        wishes: list[object] = []
        at.gate.on_change = lambda: wishes.append(at.gate.wanted)
        client.h2.ping(b"keepaliv")
        client.flush()
        await asyncio.sleep(QUIET_S)
        assert (at.gate.held, [wish for wish in wishes if wish]) == (0, [])
        at.wake(server)
        await client.when(lambda: len(client.goaways) == 2)
        assert [(last, code) for last, code, _ in client.goaways] == [(2**31 - 1, 0), (0, 0)]
        await client.until_closed()

    told(story)


def test_a_stray_connection_to_a_model_that_is_awake_is_asked_to_go_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lull.activator.http2.client.STRAY_DRAIN_S", 0.2)

    async def story(at: Activator, _: Hand, server: Pod) -> None:
        at.wake(server)
        async with at.client() as stray:
            await asyncio.sleep(0.1)
            assert stray.goaways == []
            await stray.when(lambda: len(stray.goaways) == 2)

    told(story)


def test_streams_that_are_open_or_on_their_way_at_the_goaway_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lull.activator.http2.client.CLOSING_S", 0.1)

    async def story(at: Activator, client: Hand, server: Pod) -> None:
        one, hand, _ = await passed(at, client, server, GET)
        await asyncio.sleep(0.5)
        at.connections[0].drain()
        two = client.ask()  # the client has not read the GOAWAY yet
        await client.when(lambda: len(client.goaways) == 2)
        assert [last for last, *_ in client.goaways] == [2**31 - 1, two]
        three = client.ask()
        assert (await client.until(StreamReset, three)).error_code == ErrorCodes.REFUSED_STREAM
        for stream_id, name in ((3, two), (1, one)):
            await hand.until(RequestReceived, stream_id)
            assert not client.is_closed
            hand.say(stream_id)
            await client.until(StreamEnded, name)
        await client.until_closed()
        await hand.until_closed()

    told(story)


def test_a_client_that_does_not_answer_the_ping_is_told_the_last_stream_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lull.activator.http2.client.ROUND_TRIP_S", 0.1)

    async def main() -> None:
        async with activator() as at:
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000"))
            await asyncio.sleep(QUIET_S)
            at.connections[0].drain()
            seen = b""
            async with asyncio.timeout(5):
                while seen.count(b"the model is awake") < 2:
                    seen += await reader.read(1000)
            writer.close()

    asyncio.run(main())
