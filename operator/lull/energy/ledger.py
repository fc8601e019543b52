"""The ledger: joules of every model and device since they were first seen, each interval entered exactly once.

The loop is the only writer. What a model used stays when it goes: an account is known by its uid, so that a model that
comes back under the same name has one of its own, and reports add up those of one name. A device that was not used for
long is folded into the account's past. Float64 throughout: float32 loses the joules of a minute in the sum of a month.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from lull.energy.accounts import BUCKETS, OTHERS, UNALLOCATED, Account, Rows, Sums, account_of, bucket_of
from lull.energy.attribution import FOREIGN, Attributed, Parts
from lull.energy.method import Method
from lull.energy.periods import PeriodBook
from lull.model.arrays import F64, I64, Bools, sums_by
from lull.model.columns import widen

PAST: Final = "past"
"""The device that stands for all that an account no longer uses."""

_MEANT_S: Final = 1e-6


class Ledger:
    """Accounts of the fleet.

    Args:
        zone: whose calendar the periods follow.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self.accounts: list[Account] = []
        self.devices: list[str] = []
        self.rows = Rows.none()
        self.sums = Sums(0)
        self.book = PeriodBook(0, zone)
        self.breaches = 0
        """Devices and intervals, since this process began, in which joules were lost or made up."""
        self.worst_ratio = 0.0
        """Largest share of a device's joules that was, in the last interval."""
        self._account_at: dict[str, int] = {}
        self._device_at: dict[str, int] = {}
        self._bucket: list[int] = []
        self.claim_devices((PAST,))

    def enter(self, found: Attributed, holders: Sequence[Account], devices: Sequence[str]) -> bool:
        """Enters one interval; accounts that have it already are left as they are.

        Args:
            found: joules of the interval.
            holders: whose they are, by the holders' numbers in it.
            devices: names by the devices' numbers in it.

        Returns:
            Whether anything was entered.
        """
        over = found.interval
        device_at = self.claim_devices(devices)
        nobody = self._apart(UNALLOCATED, device_at)
        account = self._account(found, holders, device_at)
        lacks = self.sums.until_s <= over.start_s + _MEANT_S
        if not lacks.any():
            return False
        self._check(found)
        spent = found.unallocated.idle_j + found.unallocated.dynamic_j > 0.0
        new = Rows.summed(
            _rows(account, device_at[found.holdings.device], found.shares, over.end_s).where(lacks[account]),
            _rows(nobody, device_at, found.unallocated, over.end_s).where(spent & lacks[nobody]),
        )
        self._enter_sums(found, account, lacks)
        idle_j, dynamic_j, measured_j = new.by_account(len(self.accounts))
        self.book.enter(over.start_s, over.end_s, idle_j + dynamic_j, measured_j, lacks)
        self.rows = Rows.summed(self.rows, new)
        gap_s = np.where(np.isfinite(self.sums.until_s), over.start_s - self.sums.until_s, 0.0)
        self.sums.missed_s += np.where(lacks, np.maximum(gap_s, 0.0), 0.0)
        self.sums.until_s = np.where(lacks, over.end_s, self.sums.until_s)
        return True

    def claim(self, accounts: Sequence[Account]) -> I64:
        """Numbers of those accounts, (N,); who has none is opened one."""
        for account in accounts:
            if account.uid not in self._account_at:
                self._account_at[account.uid] = len(self.accounts)
                self.accounts.append(account)
        lacking = len(self.accounts) - self.sums.until_s.shape[-1]
        if lacking > 0:
            widen(self.sums, Sums(lacking))
            widen(self.book, PeriodBook(lacking, self.zone))
        return np.array([self._account_at[account.uid] for account in accounts], dtype=np.int64)

    def claim_devices(self, names: Sequence[str]) -> I64:
        """Numbers of those devices, (N,)."""
        for name in names:
            if name not in self._device_at:
                self._device_at[name] = len(self.devices)
                self.devices.append(name)
                self._bucket.append(bucket_of(name))
        return np.array([self._device_at[name] for name in names], dtype=np.int64)

    def bury(self, alive: Collection[str], now_s: float) -> None:
        """Notes which models are gone, by the uids of those that are there; their joules stay."""
        is_there = np.array([a.uid in alive or not a.is_model for a in self.accounts], dtype=np.bool_)
        gone_s = np.where(np.isnan(self.sums.gone_s), now_s, self.sums.gone_s)
        self.sums.gone_s = np.where(is_there, np.nan, gone_s)

    def fold(self, before_s: float) -> None:
        """Adds what accounts used on devices that they no longer use to their past, so that the ledger stays small."""
        rows = self.rows
        device = np.where(rows.last_s < before_s, self._device_at[PAST], rows.device)
        used = np.unique(np.append(device, self._device_at[PAST]))
        self.devices, self._bucket = [self.devices[i] for i in used], [self._bucket[i] for i in used]
        self._device_at = {name: i for i, name in enumerate(self.devices)}
        self.rows = Rows.summed(Rows(rows.account, np.searchsorted(used, device), rows.joules, rows.last_s))

    @property
    def resumes_s(self) -> float:
        """From when on intervals are wanted, -inf where none was ever entered."""
        alive = np.isnan(self.sums.gone_s) & np.isfinite(self.sums.until_s)
        return float(self.sums.until_s[alive].min()) if alive.any() else -np.inf

    def totals_j(self) -> F64:
        """Idle, dynamic and measured joules of each account since its beginning, (3, M)."""
        return self.rows.by_account(len(self.accounts))

    def by_name(self, values: F64) -> dict[tuple[str, str], float]:
        """Values of the accounts, (M,), summed by the models' namespace and name: models that came back are one.

        What is no model's has no namespace, and ``UNALLOCATED`` or ``OTHERS`` for a name.
        """
        found: dict[tuple[str, str], float] = {}
        for account, value in zip(self.accounts, values.tolist(), strict=True):
            found[account[1:]] = found.get(account[1:], 0.0) + value
        return found

    def by_namespace(self, values: F64) -> dict[str, float]:
        """Values of the accounts, (M,), summed by namespace; "" has what is no model's."""
        found: dict[str, float] = {}
        for account, value in zip(self.accounts, values.tolist(), strict=True):
            found[account.namespace] = found.get(account.namespace, 0.0) + value
        return found

    def _account(self, found: Attributed, holders: Sequence[Account], device_at: I64) -> I64:
        """The account of each holding, (H,)."""
        holder, at = found.holdings.holder, device_at[found.holdings.device]
        account = np.append(self.claim(holders), -1)[holder]
        is_foreign = holder == FOREIGN
        account[is_foreign] = self._apart(OTHERS, at[is_foreign])
        return account

    def _apart(self, name: str, device_at: I64) -> I64:
        """Accounts of what is no model's on those devices, (D,)."""
        bucket = np.array(self._bucket, dtype=np.int64)[device_at]
        used = np.unique(bucket)
        account_at = np.full(BUCKETS, -1, dtype=np.int64)
        account_at[used] = self.claim([account_of(name, int(i)) for i in used])
        return account_at[bucket]

    def _check(self, found: Attributed) -> None:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.abs(found.residual_j) / np.maximum(found.known_j, 1e-9)
        self.breaches += int((~found.is_conserved).sum())
        self.worst_ratio = float(np.max(ratio, initial=0.0))

    def _enter_sums(self, found: Attributed, account: I64, lacks: Bools) -> None:
        width, at = len(self.accounts), found.holdings.device
        shares = found.shares
        told = {
            "held_s": np.full(len(at), found.interval.length_s),
            "covered_s": found.covered_s[at],
            "unknown_s": found.unknown_s[at],
            "sigma_j": shares.sigma_j,
        }
        for name, values in told.items():
            sums = getattr(self.sums, name)
            setattr(self.sums, name, sums + np.where(lacks, sums_by(account, values, width), 0.0))
        by_method = sums_by(found.method[at] * width + account, shares.idle_j + shares.dynamic_j, len(Method) * width)
        self.sums.by_method_j += np.where(lacks, by_method.reshape(len(Method), width), 0.0)
        self.sums.since_s = np.where(np.isnan(self.sums.since_s) & lacks, found.interval.start_s, self.sums.since_s)


def _rows(account: I64, device: I64, parts: Parts, end_s: float) -> Rows:
    joules = np.stack([parts.idle_j, parts.dynamic_j, parts.measured_j])
    return Rows(account, device, joules, np.full(len(account), end_s))
