"""The ledger as values that fit into Kubernetes objects, and back again.

An account, with everything it has, is in one shard, and says itself until when it is right: shards that were written
at different moments, or one of them twice, still give each account whole and no interval twice. Shards must be written
in the order in which they are given: an account that moves is in its new shard before it leaves the old one.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from lull.energy.accounts import Account, Rows, Sums
from lull.energy.ledger import Ledger
from lull.energy.method import Method
from lull.energy.periods import PERIODS, PeriodBook
from lull.errors import BadAnswer
from lull.model.arrays import F64, I64, Bools

VERSION: Final = 1

SHARD_BYTES: Final = 700_000
"""What a shard is filled to; an object of Kubernetes may have a megabyte."""

_ROW_BYTES: Final = 64.0
"""A row at its worst: five numbers and a device's name, compressed and in base64."""

_ACCOUNT_BYTES: Final = 520.0

Shard = Mapping[str, Any]


@dataclass(slots=True)
class Shelf:
    """Which shard has which account; an account stays where it is."""

    shard_of: dict[str, int] = field(default_factory=dict)

    def write(self, ledger: Ledger) -> list[dict[str, Any]]:
        """The ledger in shards, JSON-able, in the order in which they must be written; the ledger is only read."""
        if not ledger.accounts:
            return []
        shards = self._place(ledger)
        height = int(shards.max()) + 1
        shard = shards[ledger.rows.account]
        matrix = _matrix(ledger)
        return [
            _shard(ledger, number, np.flatnonzero(shards == number), ledger.rows.where(shard == number), matrix)
            for number in range(height - 1, -1, -1)
        ]

    def _place(self, ledger: Ledger) -> I64:
        """Each account's shard, (M,)."""
        sizes = _ACCOUNT_BYTES + _ROW_BYTES * np.bincount(ledger.rows.account, minlength=len(ledger.accounts))
        filled: list[float] = [0.0] * (max(self.shard_of.values(), default=-1) + 1)
        homeless = []
        for at, account in enumerate(ledger.accounts):
            shard = self.shard_of.get(account.uid)
            if shard is None or filled[shard] + sizes[at] > SHARD_BYTES > sizes[at]:
                homeless.append(at)
            else:
                filled[shard] += sizes[at]
        before = len(filled)
        for at in homeless:
            uid = ledger.accounts[at].uid
            # one that moves goes to a shard that is new, and so is written before the one it leaves
            first = before if uid in self.shard_of else 0
            found = next((i for i in range(first, len(filled)) if filled[i] + sizes[at] <= SHARD_BYTES), len(filled))
            if found == len(filled):
                filled.append(0.0)
            filled[found] += sizes[at]
            self.shard_of[uid] = found
        return np.array([self.shard_of[account.uid] for account in ledger.accounts], dtype=np.int64)


def restore(shards: Iterable[Shard], zone: ZoneInfo) -> tuple[Ledger, Shelf]:
    """The ledger of those shards, in any order; of an account that is in several, the newest.

    Args:
        shards: as ``Shelf.write`` made them.
        zone: whose calendar the periods follow. Where it is another one than when they were written, what was used in
            the present periods is forgotten; the accounts are not.

    Raises:
        BadAnswer: a shard is damaged, or of a version that this one does not know.
    """
    read = [_read(shard) for shard in shards]
    ledger, shelf = Ledger(zone), Shelf()
    newest: dict[str, tuple[float, int]] = {}
    for number, told in enumerate(read):
        for account, until_s in zip(told.accounts, told.matrix[_UNTIL], strict=True):
            if account.uid not in newest or until_s > newest[account.uid][0]:
                newest[account.uid] = (float(until_s), number)
    for number, told in enumerate(read):
        keep = np.array([newest[account.uid][1] == number for account in told.accounts], dtype=np.bool_)
        if keep.any():
            _take(ledger, told, keep, keeps_periods=told.zone == zone.key)
        shelf.shard_of |= {a.uid: told.number for a, is_kept in zip(told.accounts, keep, strict=True) if is_kept}
    return ledger, shelf


@dataclass(frozen=True, slots=True)
class _Told:
    number: int
    zone: str
    accounts: Sequence[Account]
    devices: Sequence[str]
    matrix: F64
    pairs: I64
    joules: F64


def _take(ledger: Ledger, told: _Told, keep: Bools, *, keeps_periods: bool) -> None:
    at = ledger.claim([account for account, is_kept in zip(told.accounts, keep, strict=True) if is_kept])
    for part, name, rows in _LAYOUT:
        if part is Sums or keeps_periods:
            of = getattr(ledger.sums if part is Sums else ledger.book, name)
            of.reshape(-1, of.shape[-1])[:, at] = told.matrix[rows][:, keep]
    account_at = np.full(len(told.accounts), -1, dtype=np.int64)
    account_at[keep] = at
    device_at = ledger.claim_devices(told.devices)
    is_kept = keep[told.pairs[0]]
    account, device = account_at[told.pairs[0][is_kept]], device_at[told.pairs[1][is_kept]]
    new = Rows(account, device, told.joules[:3, is_kept], told.joules[3, is_kept])
    ledger.rows = Rows.summed(ledger.rows, new)


def _layout() -> list[tuple[type[Sums | PeriodBook], str, slice]]:
    """Where each array of the accounts is among the rows of a shard's matrix."""
    heights = {
        "by_method_j": len(Method),
        "starts_s": len(PERIODS),
        "joules": 2 * len(PERIODS),
        "measured_j": 2 * len(PERIODS),
    }
    found, row = [], 0
    for part, name in [(Sums, name) for name in Sums.COLUMNS] + [(PeriodBook, name) for name in PeriodBook.COLUMNS]:
        found.append((part, name, slice(row, row + heights.get(name, 1))))
        row += heights.get(name, 1)
    return found


_LAYOUT: Final = _layout()
_UNTIL: Final = next(rows.start for _, name, rows in _LAYOUT if name == "until_s")


def _matrix(ledger: Ledger) -> F64:
    parts = [getattr(ledger.sums if part is Sums else ledger.book, name) for part, name, _ in _LAYOUT]
    return np.concatenate([of.reshape(-1, of.shape[-1]) for of in parts])


def _shard(ledger: Ledger, number: int, members: I64, rows: Rows, matrix: F64) -> dict[str, Any]:
    devices = np.unique(rows.device)
    names = {
        "accounts": [ledger.accounts[i] for i in members],
        "devices": [ledger.devices[i] for i in devices],
    }
    pairs = np.stack([np.searchsorted(members, rows.account), np.searchsorted(devices, rows.device)])
    return {
        "version": VERSION,
        "shard": number,
        "zone": ledger.zone.key,
        "names": _text(json.dumps(names, separators=(",", ":")).encode()),
        "accounts": _packed(matrix[:, members]),
        "pairs": _packed(pairs.astype(np.int64)),
        "joules": _packed(np.concatenate([rows.joules, rows.last_s[None]])),
    }


def _read(shard: Shard) -> _Told:
    try:
        if shard["version"] != VERSION:
            raise BadAnswer(f"a shard of the energy ledger is of version {shard['version']}, not {VERSION}")
        names = json.loads(_bytes(shard["names"]))
        return _Told(
            int(shard["shard"]),
            str(shard["zone"]),
            [Account(*account) for account in names["accounts"]],
            names["devices"],
            _unpacked(shard["accounts"], np.float64, _LAYOUT[-1][2].stop),
            _unpacked(shard["pairs"], np.int64, 2),
            _unpacked(shard["joules"], np.float64, 4),
        )
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise BadAnswer(f"a shard of the energy ledger cannot be read: {type(error).__name__}: {error}") from error


def _packed(array: F64 | I64) -> str:
    """Bytes of equal weight side by side, which compress."""
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return _text(np.frombuffer(plain.tobytes(), dtype=np.uint8).reshape(-1, 8).T.tobytes())


def _unpacked(text: str, dtype: type[np.float64 | np.int64], height: int) -> Any:
    plain = np.frombuffer(_bytes(text), dtype=np.uint8).reshape(8, -1).T.tobytes()
    return np.frombuffer(plain, dtype=np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(height, -1)


def _text(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 1)).decode()


def _bytes(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text, validate=True))
