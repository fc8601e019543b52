"""A collection is followed whatever the API server does: over real sockets, with everything that can go wrong."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from loopback import Peer, Reply, Request, as_json, kubeconfig, serve
from lull.adapters.api import connected
from lull.adapters.watching import News, Pauses, Watching, What

SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
HASTY = Pauses(silence_s=0.3, first_s=0.01, longest_s=0.05, short_s=0.05)
Body = dict[str, Any]


def a_body(name: str, version: int, uid: str | None = None) -> Body:
    return {"metadata": {"namespace": "demo", "name": name, "uid": uid or f"u-{name}", "resourceVersion": str(version)}}


def a_list(version: int, *bodies: Body) -> Reply:
    return as_json({"items": list(bodies), "metadata": {"resourceVersion": str(version)}})


def an_event(kind: str, body: Body) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def an_error(code: int) -> bytes:
    return an_event("ERROR", {"kind": "Status", "code": code, "message": f"error {code}"})


@dataclass
class Script:
    """What the server answers, in order; when all is said its watches are silent."""

    lists: list[Reply]
    watches: list[Callable[[], Iterable[bytes]] | Reply]
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request) -> Reply:
        with self.lock:
            if request.query.get("watch") != "true":
                return self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            step = self.watches.pop(0) if self.watches else self.silence
        return step if isinstance(step, Reply) else Reply(b"", stream=iter(step()))

    def silence(self) -> Iterator[bytes]:
        self.over.wait(10.0)
        yield b"\n"

    def then_silence(self, *events: bytes) -> Callable[[], Iterator[bytes]]:
        def stream() -> Iterator[bytes]:
            yield from events
            yield from self.silence()

        return stream


def cut(*events: bytes) -> Callable[[], Iterator[bytes]]:
    def stream() -> Iterator[bytes]:
        yield from events
        raise ConnectionAbortedError

    return stream


def followed(
    script: Script, until: Callable[[list[News]], bool], pauses: Pauses = HASTY, selector: str = ""
) -> tuple[list[News], Peer]:
    """All news until something is so."""

    async def main() -> list[News]:
        news: list[News] = []
        async with connected(writes_per_s=100.0) as api, asyncio.timeout(5.0):
            follow = Watching(api, SLICES, selector, pauses).follow()
            async for one in follow:
                news.append(one)
                if until(news):
                    break
            await follow.aclose()  # type: ignore[attr-defined]
        script.over.set()
        return news

    with serve(script.answer) as peer, kubeconfig(peer.url):
        return asyncio.run(main()), peer


def told(news: Iterable[News]) -> list[str]:
    """Each in a word or two."""
    return [str(one.what) if one.what is What.LISTED else f"{one.what} {one.body['metadata']['name']}" for one in news]


def is_told(what: str) -> Callable[[list[News]], bool]:
    return lambda news: told(news)[-1] == what


def versions(peer: Peer) -> list[str]:
    """From where each watch was begun."""
    return [r.query["resourceVersion"] for r in peer.requests if r.query.get("watch") == "true"]


def lists(peer: Peer) -> int:
    return sum(r.query.get("watch") != "true" for r in peer.requests)


def test_all_there_is_comes_first_and_then_what_happens() -> None:
    script = Script([a_list(7, a_body("a", 5))], [])
    script.watches.append(script.then_silence(an_event("ADDED", a_body("b", 8)), an_event("DELETED", a_body("a", 9))))
    news, peer = followed(script, is_told("Gone a"), selector="x=y")
    assert told(news) == ["Is a", "Listed", "Is b", "Gone a"]
    assert versions(peer) == ["7"]
    assert {request.query["labelSelector"] for request in peer.requests} == {"x=y"}
    watch = peer.requests[-1].query
    assert (watch["allowWatchBookmarks"], watch["timeoutSeconds"]) == ("true", "20")


def test_pages_are_one_list() -> None:
    first = as_json({"items": [a_body("a", 1)], "metadata": {"resourceVersion": "7", "continue": "more"}})
    second = as_json({"items": [a_body("b", 2)], "metadata": {"resourceVersion": "9"}})
    news, peer = followed(Script([first, second], []), lambda news: told(news).count("Listed") == 1)
    assert told(news) == ["Is a", "Is b", "Listed"]
    script = Script([first, second], [])
    script.watches.append(script.then_silence(an_event("ADDED", a_body("c", 8))))
    _, peer = followed(script, is_told("Is c"))
    assert versions(peer) == ["7"], "what happened while the second page was read is told by the watch"


def test_a_line_longer_than_any_buffer_is_one_event() -> None:
    big = a_body("big", 8) | {"spec": "x" * 5_000_000}
    script = Script([a_list(7)], [])
    script.watches.append(script.then_silence(an_event("ADDED", big)))
    news, _ = followed(script, is_told("Is big"))
    assert len(news[-1].body["spec"]) == 5_000_000


@pytest.mark.parametrize("way", ["event", "answer"])
def test_a_version_too_old_begins_with_a_list_at_once(way: str) -> None:
    slow = Pauses(silence_s=1.0, first_s=60.0, longest_s=60.0)
    gone = as_json({"message": "too old"}, 410) if way == "answer" else lambda: [an_error(410)]
    script = Script([a_list(7, a_body("a", 5)), a_list(20, a_body("a", 5), a_body("b", 15))], [gone])
    news, peer = followed(script, lambda news: told(news).count("Listed") == 2, slow)
    assert told(news) == ["Is a", "Listed", "Is b", "Listed"]
    assert lists(peer) == 2


@pytest.mark.parametrize("code", [429, 500, 410])
def test_an_error_event_ends_nothing_and_is_not_asked_for_at_full_speed(code: int) -> None:
    errors = [lambda: [an_error(code)] for _ in range(4)]
    script = Script([a_list(7, a_body("a", 5))], list(errors))
    script.watches.append(script.then_silence(an_event("ADDED", a_body("b", 8))))
    began_s = time.monotonic()
    news, peer = followed(script, is_told("Is b"), Pauses(silence_s=3.0, first_s=0.3, longest_s=0.3))
    assert told(news) == ["Is a", *["Listed"] * 5, "Is b"]
    assert lists(peer) == 5
    assert time.monotonic() - began_s >= 3 * 0.3, "all but the first 410 are waited after"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_refused_watch_is_begun_again(status: int) -> None:
    refusals: list[Any] = [as_json({"message": "no"}, status) for _ in range(3)]
    script = Script([a_list(7)], refusals)
    script.watches.append(script.then_silence(an_event("ADDED", a_body("b", 8))))
    news, _ = followed(script, is_told("Is b"))
    assert told(news)[-1] == "Is b"


def test_the_server_is_given_the_time_that_it_asks_for() -> None:
    busy = Reply(b'{"message": "busy"}', 429, headers={"Retry-After": "1"})
    script = Script([a_list(7)], [busy])
    script.watches.append(script.then_silence(an_event("ADDED", a_body("b", 8))))
    began_s = time.monotonic()
    followed(script, is_told("Is b"))
    assert time.monotonic() - began_s >= 1.0


def test_a_silent_connection_is_left_and_the_watch_goes_on_from_the_last_bookmark() -> None:
    script = Script([a_list(7)], [])
    bookmark = an_event("BOOKMARK", {"metadata": {"resourceVersion": "30"}})
    script.watches.append(script.then_silence(an_event("ADDED", a_body("a", 8)), bookmark))
    script.watches.append(script.then_silence(an_event("ADDED", a_body("b", 31))))
    news, peer = followed(script, is_told("Is b"))
    assert told(news) == ["Listed", "Is a", "Is b"]
    assert versions(peer) == ["7", "30"]
    assert lists(peer) == 1


def test_a_connection_that_is_cut_loses_nothing_and_tells_nothing_twice() -> None:
    half = an_event("ADDED", a_body("b", 9))[:20]
    script = Script([a_list(7)], [cut(an_event("ADDED", a_body("a", 8)), half)])
    again = (an_event("ADDED", a_body("a", 8)), an_event("ADDED", a_body("b", 9)))
    script.watches.append(script.then_silence(*again))
    news, peer = followed(script, is_told("Is b"))
    assert told(news) == ["Listed", "Is a", "Is b"]
    assert versions(peer) == ["7", "8"]


def test_what_vanished_while_nobody_watched_is_told() -> None:
    script = Script([a_list(7, a_body("a", 5), a_body("b", 6)), a_list(20, a_body("b", 6))], [lambda: [an_error(410)]])
    news, _ = followed(script, lambda news: told(news).count("Listed") == 2)
    assert told(news) == ["Is a", "Is b", "Listed", "Gone a", "Listed"]
    assert news[3].body["metadata"]["uid"] == "u-a"


def test_another_of_the_same_name_is_another() -> None:
    script = Script([a_list(7, a_body("a", 5, "old")), a_list(20, a_body("a", 15, "new"))], [lambda: [an_error(410)]])
    news, _ = followed(script, lambda news: told(news).count("Listed") == 2)
    assert told(news) == ["Is a", "Listed", "Gone a", "Is a", "Listed"]
    assert [one.body["metadata"]["uid"] for one in news if one.body] == ["old", "old", "new"]


def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    script = Script([as_json({}, 500), Reply(b"half {"), Reply(b"[]"), a_list(7, a_body("a", 5))], [])
    news, _ = followed(script, is_told("Listed"))
    assert told(news) == ["Is a", "Listed"]


@pytest.mark.parametrize("line", [b"no json\n", b"[]\n", an_event("ADDED", {"metadata": {"name": "a"}})])
def test_nonsense_in_a_watch_begins_with_a_list(line: bytes) -> None:
    script = Script([a_list(7), a_list(9, a_body("b", 9))], [lambda: [line]])
    news, _ = followed(script, is_told("Is b"))
    assert told(news) == ["Listed", "Is b"]


def test_a_watch_that_ends_at_once_is_not_begun_at_full_speed() -> None:
    script = Script([a_list(7)], [list for _ in range(5)])
    script.watches.append(script.then_silence(an_event("ADDED", a_body("b", 8))))
    began_s = time.monotonic()
    followed(script, is_told("Is b"))
    assert time.monotonic() - began_s >= sum(HASTY.after(n) for n in range(1, 6))


def test_pauses_grow_to_a_bound() -> None:
    pauses = Pauses(first_s=0.1, longest_s=10.0)
    assert [pauses.after(n) for n in (0, 1, 2, 3)] == [0.0, 0.1, 0.2, 0.4]
    assert pauses.after(1000) == 10.0
