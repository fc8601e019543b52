"""The ledger: each interval once, nothing lost, and the past of those that went."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from lull.energy.accounts import OTHERS, UNALLOCATED
from lull.energy.ledger import PAST, Ledger
from lull.energy.method import Method
from lull.energy.periods import Period, end_of
from minutes import FOREIGN, LENGTH_S, START_S, a_minute, an_account

CHAT, RANK = an_account("chat"), an_account("rank", "shop")
BOARDS = ("GPU-a", "GPU-b")


def a_ledger() -> Ledger:
    return Ledger(ZoneInfo("Europe/Berlin"))


def totals(ledger: Ledger) -> dict[str, float]:
    idle_j, dynamic_j, _ = ledger.totals_j()
    return {f"{space}/{name}" if space else name: j for (space, name), j in ledger.by_name(idle_j + dynamic_j).items()}


def test_joules_are_summed_by_model_and_namespace() -> None:
    ledger = a_ledger()
    for minute in range(3):
        ledger.enter(a_minute(minute, [300.0, 100.0], [(0, 0), (0, 1), (1, 1)]), [CHAT, RANK], BOARDS)
    assert totals(ledger) == pytest.approx({"demo/chat": 27_000.0, "shop/rank": 45_000.0, UNALLOCATED: 0.0})
    idle_j, dynamic_j, measured_j = ledger.totals_j()
    assert ledger.by_namespace(idle_j) == pytest.approx({"demo": 4500.0, "shop": 13_500.0, "": 0.0})
    assert measured_j == pytest.approx(idle_j + dynamic_j)
    assert (ledger.breaches, ledger.worst_ratio) == (0, pytest.approx(0.0))


def test_what_is_nobodys_and_what_is_others_is_kept() -> None:
    ledger = a_ledger()
    ledger.enter(a_minute(0, [300.0, 100.0], [(0, 0), (0, FOREIGN)]), [CHAT], BOARDS)
    assert totals(ledger) == pytest.approx({"demo/chat": 9000.0, OTHERS: 9000.0, UNALLOCATED: 6000.0})


def test_an_interval_is_entered_once() -> None:
    ledger, minute = a_ledger(), a_minute(0, [300.0], [(0, 0)])
    assert ledger.enter(minute, [CHAT], BOARDS[:1])
    assert not ledger.enter(minute, [CHAT], BOARDS[:1])
    assert totals(ledger)["demo/chat"] == 18_000.0
    assert ledger.resumes_s == START_S + LENGTH_S


def test_an_older_interval_does_not_come_after_a_newer_one() -> None:
    ledger = a_ledger()
    ledger.enter(a_minute(1, [300.0], [(0, 0)]), [CHAT], BOARDS[:1])
    assert not ledger.enter(a_minute(0, [300.0], [(0, 0)]), [CHAT], BOARDS[:1])
    assert totals(ledger)["demo/chat"] == 18_000.0


def test_time_that_nobody_entered_is_told() -> None:
    ledger = a_ledger()
    for minute in (0, 5):
        ledger.enter(a_minute(minute, [300.0], [(0, 0)], covered_s=45.0), [CHAT], BOARDS[:1])
    at = ledger.claim([CHAT])[0]
    assert ledger.sums.missed_s[at] == 4 * LENGTH_S
    assert (ledger.sums.held_s[at], ledger.sums.covered_s[at], ledger.sums.unknown_s[at]) == (120.0, 90.0, 30.0)
    assert ledger.sums.by_method_j[Method.COUNTER, at] == 2 * 300.0 * 45.0
    assert ledger.sums.sigma_j[at] == pytest.approx(0.05 * 27_000.0)


def test_a_model_that_went_keeps_its_past_and_its_successor_has_its_own() -> None:
    """Deleted and made again under the same name, it is another object; by name they are one."""
    ledger, again = a_ledger(), an_account("chat", uid="uid-chat-again")
    ledger.enter(a_minute(0, [300.0], [(0, 0)]), [CHAT], BOARDS[:1])
    ledger.bury({again.uid}, START_S + 60.0)
    ledger.enter(a_minute(1, [100.0], [(0, 0)]), [again], BOARDS[:1])
    idle_j, dynamic_j, _ = ledger.totals_j()
    assert (idle_j + dynamic_j)[ledger.claim([CHAT, again])] == pytest.approx([18_000.0, 6000.0])
    assert totals(ledger)["demo/chat"] == pytest.approx(24_000.0)
    assert ledger.sums.gone_s[ledger.claim([CHAT, again])] == pytest.approx([START_S + 60.0, np.nan], nan_ok=True)


def test_devices_of_the_past_are_folded_and_their_joules_stay() -> None:
    ledger = a_ledger()
    for minute in range(4):
        ledger.enter(a_minute(minute, [300.0], [(0, 0)]), [CHAT], [f"GPU-{minute}"])
    before = totals(ledger)
    ledger.fold(START_S + 3 * LENGTH_S)
    assert totals(ledger) == pytest.approx(before)
    assert ledger.devices == [PAST, "GPU-2", "GPU-3"]
    ledger.enter(a_minute(4, [300.0], [(0, 0)]), [CHAT], ["GPU-0"])
    ledger.fold(START_S + 5 * LENGTH_S)
    assert ledger.devices == [PAST, "GPU-0"]
    mine = ledger.rows.account == ledger.claim([CHAT])[0]
    assert ledger.rows.joules[:2, mine].sum(axis=0) == pytest.approx([72_000.0, 18_000.0])


def test_periods_begin_anew_and_totals_go_on() -> None:
    ledger = a_ledger()
    midnight = round((end_of(Period.DAY, START_S, ledger.zone) - START_S) / LENGTH_S)
    for minute in range(midnight - 60, midnight + 30):
        ledger.enter(a_minute(minute, [10.0], [(0, 0)], floor_w=0.0), [CHAT], BOARDS[:1])
    now_s, at = START_S + LENGTH_S * (midnight + 30), ledger.claim([CHAT])[0]
    assert totals(ledger)["demo/chat"] == pytest.approx(90 * 600.0)
    assert ledger.book.previous(Period.DAY, now_s)[0][at] == pytest.approx(60 * 600.0)
    assert ledger.book.present(Period.DAY, now_s)[0][at] == pytest.approx(30 * 600.0)


def test_joules_that_are_lost_are_told_and_stop_nobody() -> None:
    """A fault of Lull's own, that a meter without a number stands for here."""
    ledger = a_ledger()
    ledger.enter(a_minute(0, [np.nan, 100.0], [(1, 0)]), [CHAT], BOARDS)
    assert ledger.breaches == 1


def test_a_month_of_minutes_keeps_its_joules() -> None:
    """In float32 the sum would be wrong by more than the last hour."""
    ledger, minute = a_ledger(), a_minute(0, [70.001], [(0, 0)])
    at_start = np.full((3, 1), 1e12)
    ledger.enter(minute, [CHAT], BOARDS[:1])
    rows = ledger.rows
    rows.joules[:] = at_start
    ledger.enter(a_minute(1, [70.001], [(0, 0)], floor_w=0.0), [CHAT], BOARDS[:1])
    mine = ledger.totals_j()[1, ledger.claim([CHAT])[0]]
    assert mine - 1e12 == pytest.approx(70.001 * 60.0, abs=1e-3)
