"""The ledger comes back whole from its shards, whenever each of them was written."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.energy import checkpoint
from lull.energy.checkpoint import Shelf, restore
from lull.energy.ledger import Ledger
from lull.energy.periods import Period
from lull.errors import BadAnswer
from minutes import FOREIGN, START_S, a_minute, an_account

BERLIN = ZoneInfo("Europe/Berlin")
MODELS = [an_account(f"m{i}", f"team-{i % 3}") for i in range(9)]
BOARDS = [f"GPU-{i}" for i in range(6)]


def a_fleet_minute(number: int) -> Any:
    draw = np.random.default_rng(number)
    held = [(device, int(holder)) for device in range(5) for holder in draw.choice(9, 2, replace=False)]
    return a_minute(number, draw.uniform(60.0, 700.0, 6).tolist(), [*held, (4, FOREIGN)])


def lived(ledger: Ledger, minutes: range) -> Ledger:
    for number in minutes:
        ledger.enter(a_fleet_minute(number), MODELS, BOARDS)
    return ledger


def through_json(shards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(json.dumps(shards))
    return loaded


def everything(ledger: Ledger) -> dict[tuple[str, str], float]:
    """Every figure of the ledger by name."""
    found = {}
    for at, account in enumerate(ledger.accounts):
        for name in ledger.sums.COLUMNS:
            values = getattr(ledger.sums, name)
            found[account.uid, name] = float(np.nansum(values[..., at]))
        for name in ledger.book.COLUMNS:
            found[account.uid, f"book {name}"] = float(np.nansum(getattr(ledger.book, name)[..., at]))
    rows = ledger.rows
    for account_at, device_at, *joules in zip(rows.account, rows.device, *rows.joules, rows.last_s, strict=True):
        for kind, value in zip("idm", joules, strict=False):
            found[ledger.accounts[account_at].uid, f"{kind} on {ledger.devices[device_at]}"] = float(value)
    return found


def small_shards(monkeypatch: pytest.MonkeyPatch, size: int = 3000) -> None:
    monkeypatch.setattr(checkpoint, "SHARD_BYTES", size)


def test_a_ledger_comes_back_as_it_was() -> None:
    ledger = lived(Ledger(BERLIN), range(10))
    again, _ = restore(through_json(Shelf().write(ledger)), BERLIN)
    assert everything(again) == everything(ledger), "to the last bit"
    now_s = START_S + 600.0
    assert np.nansum(again.book.present(Period.DAY, now_s)[0]) == np.nansum(ledger.book.present(Period.DAY, now_s)[0])


def test_many_shards_come_back_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    small_shards(monkeypatch)
    ledger = lived(Ledger(BERLIN), range(10))
    shards = through_json(Shelf().write(ledger))
    assert len(shards) > 3
    again, _ = restore(reversed(shards), BERLIN)
    assert everything(again) == everything(ledger)


def test_shards_of_different_moments_count_no_interval_twice_and_lose_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator dies in the midst of writing; the next one is given the same intervals again."""
    small_shards(monkeypatch)
    ledger, shelf = Ledger(BERLIN), Shelf()
    old = shelf.write(lived(ledger, range(8)))
    new = shelf.write(lived(ledger, range(8, 10)))
    mixed = [*new[: len(new) // 2], *old[len(old) // 2 :]]
    again, _ = restore(through_json(mixed), BERLIN)
    assert again.resumes_s == START_S + 8 * 60.0
    assert everything(lived(again, range(8, 12))) == pytest.approx(everything(lived(ledger, range(10, 12))))


def test_an_account_is_in_its_new_shard_before_it_leaves_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever dies after any of the writes has lost no account."""
    small_shards(monkeypatch, 4000)
    ledger, shelf = Ledger(BERLIN), Shelf()
    stored = {shard["shard"]: shard for shard in shelf.write(lived(ledger, range(1)))}
    before = dict(shelf.shard_of)
    for number in range(1, 6):
        ledger.enter(a_fleet_minute(number), MODELS, [f"GPU-{number}-{i}" for i in range(6)])
        for shard in shelf.write(ledger):
            stored[shard["shard"]] = shard
            assert set(before) <= {account.uid for account in restore(stored.values(), BERLIN)[0].accounts}
    assert any(shelf.shard_of[uid] != shard for uid, shard in before.items()), "or none moved"


@pytest.mark.parametrize("order", [1, -1])
def test_of_an_account_in_two_shards_the_newest_counts(order: int) -> None:
    """It moved, and the operator died before the shard that it left was written again."""
    old = lived(Ledger(BERLIN), range(4))
    left = Shelf().write(old)
    new = lived(old, range(4, 7))
    again, _ = restore([*left, *Shelf().write(new)][::order], BERLIN)
    assert everything(again) == everything(new)


@given(st.integers(0, 12), st.integers(0, 2**32))
def test_a_death_at_any_moment_is_survived(died_after: int, seed: int) -> None:
    """Accounts grow and move between shards; the writes after the death are lost."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_shards(monkeypatch, 2500)
        draw = np.random.default_rng(seed)
        ledger, shelf, stored = Ledger(BERLIN), Shelf(), {}
        writes = 0
        for number in range(3):
            crowd = [(device, int(holder)) for device in range(6) for holder in draw.choice(9, 1 + 3 * number)]
            minute = a_minute(number, [300.0] * 6, crowd)
            ledger.enter(minute, MODELS, [f"GPU-{number}-{i}" for i in range(6)])
            for shard in shelf.write(ledger):
                if writes < died_after or number == 0:
                    stored[shard["shard"]] = shard
                writes += number > 0
        again, _ = restore(through_json(list(stored.values())), BERLIN)
        untils = dict(zip([a.uid for a in again.accounts], again.sums.until_s, strict=True))
        assert {account.uid for account in MODELS} <= set(untils)
        for at, account in enumerate(again.accounts):
            joules = again.totals_j()[:2, at].sum()
            so_far = Ledger(BERLIN)
            redrawn = np.random.default_rng(seed)
            for number in range(3):
                crowd = [(d, int(h)) for d in range(6) for h in redrawn.choice(9, 1 + 3 * number)]
                if START_S + 60.0 * (number + 1) <= untils[account.uid]:
                    so_far.enter(a_minute(number, [300.0] * 6, crowd), MODELS, [f"GPU-{number}-{i}" for i in range(6)])
            assert joules == pytest.approx(so_far.totals_j()[:2, so_far.claim([account])[0]].sum())


def test_in_another_zone_the_accounts_go_on_and_the_periods_begin_anew() -> None:
    ledger = lived(Ledger(BERLIN), range(5))
    again, _ = restore(Shelf().write(ledger), ZoneInfo("Asia/Tokyo"))
    assert again.totals_j().sum() == pytest.approx(ledger.totals_j().sum())
    assert np.isnan(again.book.present(Period.DAY, START_S)[0]).all()


def test_a_large_fleet_fits_into_objects_of_kubernetes() -> None:
    """Random numbers compress worst."""
    draw, count = np.random.default_rng(1), 24_000
    models = [an_account(f"model-{i:05d}", uid=f"{draw.bytes(16).hex()}") for i in range(1500)]
    boards = [f"GPU-{draw.bytes(16).hex()}" for _ in range(count)]
    held = [(device, device % 1500) for device in range(count)]
    ledger = Ledger(BERLIN)
    for number in range(2):
        ledger.enter(a_minute(number, draw.uniform(60.0, 700.0, count).tolist(), held), models, boards)
    shards = Shelf().write(ledger)
    sizes = [len(json.dumps(shard)) for shard in shards]
    assert max(sizes) < 1_000_000
    assert len(shards) > 1


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"version": 2}, id="of another version"),
        pytest.param({"joules": "AAAA"}, id="damaged"),
        pytest.param({"accounts": "%%"}, id="no base64"),
        pytest.param({"names": None}, id="of another type"),
    ],
)
def test_a_shard_that_cannot_be_read_is_told(damage: dict[str, Any]) -> None:
    shard = Shelf().write(lived(Ledger(BERLIN), range(2)))[0]
    with pytest.raises(BadAnswer, match="a shard of the energy ledger"):
        restore([shard | damage], BERLIN)


def test_nothing_is_restored_from_nothing() -> None:
    ledger, _ = restore([], BERLIN)
    assert ledger.resumes_s == -np.inf
    assert restore(Shelf().write(ledger), BERLIN)[0].totals_j().sum() == 0.0
