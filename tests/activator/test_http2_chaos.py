"""Clients and pods that do anything at any moment: every stream ends, and nothing of it stays behind."""

import asyncio
import logging
import random
from contextlib import AsyncExitStack, suppress

import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from h2_peers import POST, Activator, Hand, activator, eventually, grpc_request, pod

CLIENTS, ROUNDS = 6, 60


def chance_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a course of events, no secret


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged; asyncio warns of what the fickle pods write to sockets that they closed."""
    worst = {"lull": logging.WARNING, "asyncio": logging.ERROR}
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= worst.get(record.name.partition(".")[0], logging.WARNING)
    ]


class Fickle:
    """A pod that answers, resets, breaks off, goes away or keeps silent, and says how often it was asked."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.asked = 0

    def __call__(self, hand: Hand, event: Event) -> None:
        if not isinstance(event, RequestReceived | DataReceived | StreamEnded):
            return
        self.asked += isinstance(event, RequestReceived)
        with suppress(ProtocolError):  # the stream may be gone, or answered
            match self.chance.randrange(60):
                case draw if draw < 30:
                    hand.say(event.stream_id, body=b"a" * self.chance.randrange(1, 16_000))
                case draw if draw < 40:
                    hand.say(event.stream_id, body=b"part", ends=False)
                case draw if draw < 50:
                    hand.h2.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
                case 50:
                    hand.writer.close()
                case 51:
                    last = hand.h2.highest_inbound_stream_id - 2 * self.chance.randrange(3)
                    hand.raw(bytes.fromhex("000008 07 00 00000000") + max(last, 0).to_bytes(4, "big") + bytes(4))


async def fickle_client(at: Activator, chance: random.Random) -> int:
    """Asks, uploads, cancels, leaves and comes again; how many of its streams got an answer."""
    answered = 0
    for _ in range(4):
        settings = {SettingCodes.INITIAL_WINDOW_SIZE: chance.choice((0, 100, 65_535))}
        async with at.client(settings=settings) as client:
            for _ in range(ROUNDS // 4):
                if client.is_closed:
                    break
                stream_id = client.ask(chance.choice((POST, grpc_request())), b"b" * chance.randrange(500), ends=False)
                with suppress(ProtocolError):
                    match chance.randrange(5):
                        case 0:
                            client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
                        case 1 | 2 | 3:
                            client.h2.end_stream(stream_id)
                    client.h2.increment_flow_control_window(chance.randrange(1, 20_000), stream_id)
                client.flush()
                await asyncio.sleep(chance.random() * 0.02)
            answered += len({event.stream_id for event in client.all(ResponseReceived)})
    return answered


@pytest.mark.parametrize("seed", range(4))
def test_nothing_stays_behind(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        chance = chance_of(seed)
        async with AsyncExitStack() as stack:
            at = await stack.enter_async_context(activator())
            reacts = Fickle(chance)
            pods = [
                await stack.enter_async_context(
                    pod(reacts=reacts, settings={SettingCodes.MAX_CONCURRENT_STREAMS: limit})
                )
                for limit in (2, 100)
            ]
            clients = [asyncio.create_task(fickle_client(at, chance_of(seed * 100 + n))) for n in range(CLIENTS)]
            while not all(client.done() for client in clients):
                at.wake(*chance.sample(pods, chance.randrange(3)))
                await asyncio.sleep(0.03)
            assert sum([await client for client in clients]) > 20
            assert reacts.asked > 50
            await eventually(lambda: all(connection.is_closed for connection in at.connections))
            await eventually(lambda: at.gate.held == 0 and all(hand.is_closed for p in pods for hand in p.hands))
            at.wake(*pods)
            assert all(lane.in_flight == 0 for lane in at.gate._room._pace.lanes.values())
            assert all(connection.legs == {} for connection in at.connections)
            assert all("_serve" not in repr(task) for task in asyncio.all_tasks())

    asyncio.run(main())
    assert complaints(caplog) == []


@pytest.mark.parametrize("seed", range(4))
def test_every_stream_of_a_client_that_stays_ends(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """With pods that answer, reset or break off, but never keep silent."""

    async def main() -> None:
        chance = chance_of(seed)

        def reacts(hand: Hand, event: Event) -> None:
            if isinstance(event, StreamEnded):
                match chance.randrange(20):
                    case 0:
                        hand.h2.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
                    case 1:
                        hand.writer.close()
                    case _:
                        hand.say(event.stream_id, body=b"a" * chance.randrange(1, 9_000))

        async with activator() as at, pod(reacts=reacts) as one, pod(reacts=reacts) as two, at.client() as client:
            asked = []
            for number in range(120):
                asked.append(client.ask(grpc_request(), b"b" * chance.randrange(500)))
                if number % 10 == 5:
                    at.wake(*((one, two) if number % 20 == 5 else ()))
                await asyncio.sleep(0.005)
            at.wake(one, two)

            def over() -> set[int]:
                return {event.stream_id for kind in (StreamEnded, StreamReset) for event in client.all(kind)}

            await client.when(lambda: over() >= set(asked), "end of every stream")

    asyncio.run(main())
    assert complaints(caplog) == []
