"""The invariant of a stream that is passed on: a sender gets its window back for what the other side took, no more.

So what waits in between is never more than one window, and nothing is lost, doubled or out of order, whatever either
side does and however slowly it does it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, TrailersReceived
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from h2_peers import OK, POST
from lull.activator.http2.half import Half
from lull.activator.http2.legs import Leg
from lull.activator.http2.wire import WINDOW_BYTES, Wire


class Side(Wire):
    """A connection of the one in the middle, which joins two."""

    def __init__(self, *, client_side: bool) -> None:
        super().__init__(client_side=client_side, settings={SettingCodes.MAX_HEADER_LIST_SIZE: 16_384})
        self.other: Side

    def on_event(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            here = self.legs[1] = Leg(self, 1)
            there = self.other.legs[1] = Leg(self.other, 1)
            there.send_headers(tuple(event.headers), ends=False)
            there.join(here)


class Cable(asyncio.Transport):
    """Takes what a side writes, and hands it to its peer when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0


@dataclass
class End:
    """A client or a pod: what it sent, what it got, and what of that it has not acknowledged."""

    side: Side
    h2: H2Connection
    cable: Cable = field(default_factory=Cable)
    sent: int = 0
    has_ended: bool = False
    got: bytearray = field(default_factory=bytearray)
    owed: int = 0
    saw_end: bool = False

    def exchange(self) -> bool:
        """Moves bytes both ways once; whether there were any."""
        data, self.cable.written = bytes(self.cable.written), bytearray()
        for event in self.h2.receive_data(data):
            if isinstance(event, DataReceived):
                self.got += event.data
                self.owed += event.flow_controlled_length
            self.saw_end |= isinstance(event, StreamEnded | TrailersReceived)
        back = self.h2.data_to_send()
        if back:
            self.side.data_received(back)
        return bool(data or back)

    def send(self, size: int, padding: int) -> None:
        """As much of ``size`` as the window and a frame have room for."""
        cost = padding + 1 if padding else 0
        size = min(size, self.h2.local_flow_control_window(1) - cost, 16_000)
        if size > 0 and not self.has_ended:
            self.h2.send_data(1, pattern(self.sent, size), pad_length=padding or None)
            self.sent += size

    def take(self, size: int) -> None:
        """Acknowledges at most so much of what it got."""
        size = min(size, self.owed)
        if size:
            self.h2.acknowledge_received_data(size, 1)
            self.owed -= size

    def end(self, *, with_trailers: bool) -> None:
        if not self.has_ended:
            self.has_ended = True
            if with_trailers:
                self.h2.send_headers(1, [("sum", "1")], end_stream=True)
            else:
                self.h2.end_stream(1)


def pattern(start: int, size: int) -> bytes:
    """Bytes that tell where they belong."""
    return bytes((at * 31 + at // 251) % 256 for at in range(start, start + size))


async def settle(*ends: End) -> None:
    still = 0
    while still < 3:
        still = 0 if sum(end.exchange() for end in ends) else still + 1
        await asyncio.sleep(0)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 256), st.integers(0, 500))), st.booleans())
def test_every_byte_of_window_comes_back_once(steps: list[tuple[int, int, int]], drops: bool) -> None:
    acknowledged: list[int] = []
    half = Half(acknowledged.append)
    sent, taken, given = b"", b"", 0
    for size, padding, takes in steps:
        data = pattern(len(sent), size)
        half.put(data, size + padding)
        sent += data
        taken += half.take(takes)
        given += padding
        assert sum(acknowledged) == given + len(taken)
    cost = sum(size + padding for size, padding, _ in steps)
    if drops:
        half.drop()
        half.put(b"late", 7)
        cost += 7
    else:
        taken += half.take(len(half))
        assert taken == sent
    assert sum(acknowledged) == cost
    assert len(half) == 0


SIZES = st.integers(1, 40_000)
WHO = st.sampled_from((0, 1))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), WHO, SIZES, st.integers(0, 200)),
        st.tuples(st.just("take"), WHO, SIZES, st.just(0)),
    ),
    max_size=40,
)


async def joined() -> tuple[End, End]:
    """A client and a pod with a stream between them."""
    to_client, to_pod = Side(client_side=False), Side(client_side=True)
    to_client.other, to_pod.other = to_pod, to_client
    client = End(to_client, H2Connection(H2Configuration(client_side=True)))
    pod = End(to_pod, H2Connection(H2Configuration(client_side=False)))
    for end in (client, pod):
        end.h2.initiate_connection()
        end.side.connection_made(cast(asyncio.BaseTransport, end.cable))
    await settle(client, pod)
    client.h2.send_headers(1, list(POST))
    await settle(client, pod)
    pod.h2.send_headers(1, list(OK))
    to_client.legs[1].send_headers(((b":status", b"200"),), ends=False)
    await settle(client, pod)
    return client, pod


def is_coupled(sender: End, receiver: End) -> None:
    waits = sender.sent - len(receiver.got)
    assert receiver.got == pattern(0, len(receiver.got))
    assert 0 <= waits <= WINDOW_BYTES
    assert sender.h2.local_flow_control_window(1) + waits <= WINDOW_BYTES  # never more window than was taken


@given(STEPS, st.booleans(), st.booleans())
def test_a_window_is_given_back_for_what_was_taken_and_no_more(
    steps: list[tuple[str, int, int, int]], up_has_trailers: bool, down_has_trailers: bool
) -> None:
    async def main() -> None:
        client, pod = ends = await joined()
        for what, who, size, padding in steps:
            if what == "send":
                ends[who].send(size, padding)
            else:
                ends[who].take(size)
            await settle(*ends)
            is_coupled(client, pod)
            is_coupled(pod, client)
        client.end(with_trailers=up_has_trailers)
        pod.end(with_trailers=down_has_trailers)
        for _ in range(20):
            for end in ends:
                end.take(end.owed)
            await settle(*ends)
        assert bytes(pod.got) == pattern(0, client.sent)
        assert bytes(client.got) == pattern(0, pod.sent)
        assert (client.saw_end, pod.saw_end) == (True, True)
        assert (client.side.legs, pod.side.legs) == ({}, {})

    asyncio.run(main())
