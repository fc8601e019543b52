"""A port stands for one model: now, for a while after, and through an operator's restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lull.decide.ports import MOST, Ports
from lull.model.route import HoldPort, ServicePort

HTTP, GRPC = ServicePort("http", 8000), ServicePort("grpc", 8001)


def some_ports(last: int = 20009, opens_at_s: float = 0.0) -> Ports:
    return Ports(20000, last, opens_at_s, quarantine_s=30.0)


def test_every_service_port_gets_a_port_of_its_own() -> None:
    offered = some_ports().offer("a", (HTTP, GRPC), (), 0.0)
    assert offered is not None
    assert [(port.name, port.port) for port in offered] == [("http", 8000), ("grpc", 8001)]
    assert len({port.holding_port for port in offered}) == 2
    assert all(20000 <= port.holding_port <= 20009 for port in offered)


def test_a_model_is_offered_the_same_ports_by_any_operator_in_any_order() -> None:
    wide = [Ports(20000, 29999, 0.0, 30.0) for _ in range(2)]
    first = [wide[0].offer(uid, (HTTP,), (), 0.0) for uid in ("a", "b", "c")]
    second = [wide[1].offer(uid, (HTTP,), (), 0.0) for uid in ("c", "b", "a")]
    assert first == second[::-1]


def test_what_is_held_is_kept() -> None:
    held = (HoldPort("http", 8000, 20005),)
    offered = some_ports().offer("a", (GRPC, HTTP), held, 0.0)
    assert offered is not None
    assert offered[0] == held[0]
    assert offered[1].name == "grpc"


def test_a_port_that_the_service_no_longer_has_is_not_given_away() -> None:
    held = (HoldPort("old", 7000, 20005),)
    ports = some_ports(last=20005)
    assert held[0] in (ports.offer("a", (HTTP,), held, 0.0) or ())
    taken = [ports.offer(f"m{n}", (HTTP,), (), 0.0) for n in range(6)]
    assert 20005 not in {port.holding_port for found in taken if found for port in found}


def test_when_all_are_taken_there_is_no_offer() -> None:
    ports = some_ports(last=20002)
    assert all(ports.offer(f"m{n}", (HTTP,), (), 0.0) for n in range(3))
    assert ports.offer("late", (HTTP,), (), 0.0) is None


def test_a_part_of_what_is_needed_is_no_offer_and_takes_nothing() -> None:
    ports = some_ports(last=20000)
    assert ports.offer("a", (HTTP, GRPC), (), 0.0) is None
    assert ports.offer("b", (HTTP,), (), 0.0) is not None


def test_a_freed_port_is_free_only_after_its_quarantine() -> None:
    ports = some_ports(last=20000)
    ports.see({"a": (HoldPort("http", 8000, 20000),)}, 0.0)
    ports.see({}, 1.0)
    assert ports.offer("b", (HTTP,), (), 29.0) is None
    ports.see({}, 30.0)
    assert ports.offer("b", (HTTP,), (), 30.0) is not None


def test_a_new_operator_gives_out_nothing_until_it_knows_what_was_promised() -> None:
    ports = some_ports(opens_at_s=30.0)
    assert ports.offer("a", (HTTP,), (), 29.0) is None
    assert ports.offer("a", (HTTP,), (), 30.0) is not None


def test_of_two_that_claim_one_port_the_first_has_it() -> None:
    ports, port = some_ports(), HoldPort("http", 8000, 20000)
    ports.see({"a": (port,), "b": (port,)}, 0.0)
    assert (ports.is_of(port, "a"), ports.is_of(port, "b")) == (True, False)


def test_a_service_of_endless_ports_is_not_held() -> None:
    many = tuple(ServicePort(f"p{n}", n + 1) for n in range(MOST + 1))
    assert some_ports(last=20999).offer("a", many, (), 0.0) is None
    assert some_ports(last=20999).offer("a", many[:-1], (), 0.0) is not None


UIDS = st.sampled_from("abcd")
MOVES = st.lists(st.tuples(st.sampled_from(["ask", "write", "free", "wait", "restart"]), UIDS), max_size=60)


@given(MOVES)
def test_no_port_ever_stands_for_two_models_within_a_quarantine(moves: list[tuple[str, str]]) -> None:
    """Offers are written at once, later, or by an operator that is no more; holds are freed at any time."""
    now_s, ports = 0.0, some_ports(last=20003)
    holds: dict[str, tuple[HoldPort, ...]] = {}
    offers: dict[str, tuple[tuple[HoldPort, ...], float]] = {}
    last_of: dict[int, tuple[str, float]] = {}
    for move, uid in moves:
        if move == "ask" and uid not in holds and (offered := ports.offer(uid, (HTTP,), (), now_s)):
            offers[uid] = (offered, now_s)
        elif move == "write" and uid in offers:
            offered, asked_at_s = offers.pop(uid)
            if now_s - asked_at_s <= 15.0:  # a write lands within this, or never
                holds[uid] = offered
        elif move == "free":
            holds.pop(uid, None)
        elif move == "wait":
            now_s += 10.0
        elif move == "restart":
            ports = some_ports(last=20003, opens_at_s=now_s + 30.0)
        ports.see(holds, now_s)
        for number, owner in {port.holding_port: owner for owner, held in holds.items() for port in held}.items():
            other, until_s = last_of.get(number, (owner, now_s))
            assert other == owner or until_s <= now_s
            last_of[number] = (owner, now_s + 30.0)
        assert len({port.holding_port for held in holds.values() for port in held}) == len(holds)
