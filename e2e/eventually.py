"""Waits that are bounded and talk when they fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kube import KubectlError

T = TypeVar("T")


def eventually(
    look: Callable[[], T], accept: Callable[[T], object] = bool, *, within_s: float, every_s: float = 1.0
) -> T:
    """Looks until what is seen is accepted, and returns it; fails with what was seen last."""
    give_up_s = time.monotonic() + within_s
    while True:
        seen: object
        try:
            value = look()
            if accept(value):
                return value
            seen = value
        except (KubectlError, LookupError) as error:
            seen = error
        if time.monotonic() > give_up_s:
            raise AssertionError(f"not within {within_s:g} s; seen last: {seen!r}")
        time.sleep(every_s)


def steadily(look: Callable[[], T], accept: Callable[[T], object], *, for_s: float, every_s: float = 1.0) -> None:
    """Looks again and again for a while; fails as soon as what is seen is not accepted."""
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        value = look()
        assert accept(value), f"{value!r} came {until_s - time.monotonic():.0f} s before the end of {for_s:g} s"
        time.sleep(every_s)
