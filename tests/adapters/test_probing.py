"""A stand-in is believed only when it says who it is and whom it stands for, on every port."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest

from loopback import Reply, Request, serve
from lull.adapters.probing import Prober
from lull.model.route import HoldPort, StandIn

WHO = StandIn("uid-1", "act-1", "lull", "127.0.0.1")


def ask(*ports: int) -> bool | None:
    async def main() -> bool | None:
        prober = Prober()
        try:
            return await prober.ask(WHO, [HoldPort(f"p{n}", n + 1, port) for n, port in enumerate(ports)], "uid-chat")
        finally:
            await prober.close()

    return asyncio.run(main())


def told(*answers: Reply) -> bool | None:
    """What comes of stand-ins that answer so, one on each port."""
    with ExitStack() as stack:
        peers = [stack.enter_context(serve(lambda _, answer=answer: answer)) for answer in answers]
        return ask(*(int(peer.url.rpartition(":")[2]) for peer in peers))


def a_reply(activator: str = "uid-1", model: str = "uid-chat", status: int = 200) -> Reply:
    return Reply(b"", status, headers={"Lull-Activator": activator, "Lull-Model": model})


def test_the_right_answer_on_every_port_is_a_proof() -> None:
    assert told(a_reply(), a_reply()) is True


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(a_reply(activator="uid-2"), id="another pod has the address"),
        pytest.param(a_reply(model="uid-rank"), id="the port stands for another model"),
        pytest.param(a_reply(status=503), id="no"),
        pytest.param(Reply(b"hello"), id="somebody else altogether"),
    ],
)
def test_one_wrong_answer_is_enough(wrong: Reply) -> None:
    assert told(a_reply(), wrong) is False


def test_the_probe_names_the_model() -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return a_reply()

    with serve(answer) as peer:
        assert ask(int(peer.url.rpartition(":")[2]))
    assert [(r.verb, r.path, r.headers["lull-probe"]) for r in seen] == [("GET", "/", "uid-chat")]


def test_nobody_listening_is_no_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert ask(taken.getsockname()[1]) is None


@pytest.mark.timeout(20)
def test_an_answer_that_takes_long_is_none() -> None:
    slow = Reply(b"", after_s=30.0, headers={"Lull-Activator": "uid-1", "Lull-Model": "uid-chat"})
    assert told(slow) is None
