"""What was learned, rearranged for a fleet whose models came and went."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lull.model.learned import Learned, Lines

UIDS = st.lists(st.sampled_from("abcdefgh"), unique=True)


def numbered(uids: list[str]) -> Learned:
    """Every value tells whose it is."""
    mine = np.array([float(ord(uid)) for uid in uids])
    lines = Lines(**{field.name: mine for field in fields(Lines)})
    rest = {field.name: mine for field in fields(Learned) if field.name not in ("uids", "pace")}
    return Learned(tuple(uids), lines, **rest)


@given(UIDS, UIDS)
def test_each_model_keeps_its_own_and_new_ones_start_blank(before: list[str], after: list[str]) -> None:
    found, blank = numbered(before).of(after), Learned.nothing(after)
    assert found.uids == tuple(after)
    for i, uid in enumerate(after):
        for field in fields(Lines):
            kept = float(ord(uid)) if uid in before else getattr(blank.pace, field.name)[i]
            np.testing.assert_equal(getattr(found.pace, field.name)[i], kept)
        np.testing.assert_equal(found.kv_tokens[i], float(ord(uid)) if uid in before else np.nan)
        np.testing.assert_equal(found.generated[i], float(ord(uid)) if uid in before else np.nan)


def test_the_same_fleet_is_not_copied() -> None:
    learned = numbered(["a", "b"])
    assert learned.of(["a", "b"]) is learned


def test_blank_lines_have_no_weight_and_no_coefficients() -> None:
    lines = Lines.blank(2)
    assert list(lines.weight) == [0.0, 0.0]
    assert np.isnan([lines.fixed, lines.slope, lines.reach]).all()
    assert replace(lines, weight=np.ones(2)).weight is not lines.weight
