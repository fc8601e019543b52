"""What the ledger is made of: whose joules, on which device, and what is known beside them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np

from lull.energy.method import Method
from lull.model.arrays import F64, I64, Bools, sums_by


class Account(NamedTuple):
    """Whose joules: a model's, or of those that are no model's."""

    uid: str
    namespace: str
    name: str

    @property
    def is_model(self) -> bool:
        """Whether it is a model's; the others have no namespace."""
        return bool(self.namespace)


UNALLOCATED: Final = "unallocated"
"""Name of the accounts of what nobody reserved or did."""

OTHERS: Final = "others"
"""Name of the accounts of what pods used that are no model's."""

BUCKETS: Final = 32
"""Those two may have every device of the cluster, so that each is as many accounts, to fit into shards."""


def bucket_of(device: str) -> int:
    """Which of those accounts has a device; the same in every process."""
    return zlib.crc32(device.encode()) % BUCKETS


def account_of(name: str, bucket: int) -> Account:
    """The account of ``UNALLOCATED`` or ``OTHERS`` that has the devices of a bucket."""
    return Account(f"{name}-{bucket}", "", name)


_SHIFT: Final = 32


@dataclass(frozen=True, slots=True)
class Rows:
    """Joules by account and device, one element a pair, in the order of both."""

    account: I64
    device: I64
    joules: F64
    """Idle, dynamic, and the part of both that was measured, (3, R)."""
    last_s: F64
    """End of the last interval with it."""

    @staticmethod
    def none() -> Rows:
        """No row."""
        nobody = np.empty(0, dtype=np.int64)
        return Rows(nobody, nobody, np.empty((3, 0)), np.empty(0))

    @staticmethod
    def summed(*parts: Rows) -> Rows:
        """All rows of several, those of one account and device as one."""
        account = np.concatenate([part.account for part in parts])
        device = np.concatenate([part.device for part in parts])
        codes, at = np.unique((account << _SHIFT) | device, return_inverse=True)
        joules = np.concatenate([part.joules for part in parts], axis=1)
        last_s = np.full(len(codes), -np.inf)
        np.maximum.at(last_s, at, np.concatenate([part.last_s for part in parts]))
        summed = np.stack([sums_by(at, kind, len(codes)) for kind in joules])
        return Rows(codes >> _SHIFT, codes & ((1 << _SHIFT) - 1), summed, last_s)

    def where(self, chosen: Bools) -> Rows:
        """Some of the rows."""
        return Rows(self.account[chosen], self.device[chosen], self.joules[:, chosen], self.last_s[chosen])

    def by_account(self, width: int) -> F64:
        """Joules of each account, (3, width)."""
        return np.stack([sums_by(self.account, kind, width) for kind in self.joules])


class Sums:
    """What is known of each account beside its joules by device.

    Args:
        width: number of accounts.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "since_s",
        "until_s",
        "gone_s",
        "missed_s",
        "held_s",
        "covered_s",
        "unknown_s",
        "sigma_j",
        "by_method_j",
    )

    def __init__(self, width: int) -> None:
        self.since_s: F64 = np.full(width, np.nan)
        self.until_s: F64 = np.full(width, -np.inf)
        """End of the last interval that was entered."""
        self.gone_s: F64 = np.full(width, np.nan)
        """When the model was gone; NaN = it is there."""
        self.missed_s: F64 = np.zeros(width)
        """Time between intervals that nobody entered."""
        self.held_s: F64 = np.zeros(width)
        """Device-seconds that it had."""
        self.covered_s: F64 = np.zeros(width)
        """Of these, seconds that were measured."""
        self.unknown_s: F64 = np.zeros(width)
        """Of these, seconds of which nothing is known: their joules are in no sum."""
        self.sigma_j: F64 = np.zeros(width)
        self.by_method_j: F64 = np.zeros((len(Method), width))
