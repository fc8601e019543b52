"""What people write behind options. A refusal names the value and the mend, and argparse names the option."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def duration_s(text: str) -> float:
    """Seconds of ``500ms``, ``60s``, ``1m30s``, ``14d``; more than none.

    Raises:
        argparse.ArgumentTypeError: when it is no such duration.
    """
    parts = _DURATION.findall(text)
    total_s = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not total_s > 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write one such as 500ms, 60s or 1m30s")
    return total_s


def share(text: str) -> float:
    """A share between 0 and 1, both left out.

    Raises:
        argparse.ArgumentTypeError: when it is none.
    """
    value = _number(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write a number between 0 and 1, such as 0.005")
    return value


def above_zero(text: str) -> float:
    """A finite number above 0.

    Raises:
        argparse.ArgumentTypeError: when it is none.
    """
    value = _number(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0; write a number such as 12.5")
    return value


def capacity_of(text: str) -> tuple[str, float]:
    """A model and the requests per second of one replica, of ``demo/chat=12.5``.

    Raises:
        argparse.ArgumentTypeError: when it is no such pair.
    """
    model, _, rps = text.rpartition("=")
    if not model or not 0.0 < _number(rps) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no capacity of a model; write one such as demo/chat=12.5")
    return model, _number(rps)


def seed(text: str) -> int:
    """A whole number of 0 or more.

    Raises:
        argparse.ArgumentTypeError: when it is none.
    """
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; write a whole number of 0 or more")
    return int(text)


def count(text: str) -> int:
    """A whole number of 0 or more.

    Raises:
        argparse.ArgumentTypeError: when it is none.
    """
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no count; write a whole number of 0 or more")
    return int(text)


def url(text: str) -> str:
    """An address that HTTP reaches, without a slash at its end.

    Raises:
        argparse.ArgumentTypeError: when it is none.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL; write one such as http://localhost:9090")
    return text.rstrip("/")


def new_file(text: str) -> Path:
    """A path that a file can be written to.

    Raises:
        argparse.ArgumentTypeError: when it is a folder, or lies in none.
    """
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; name a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} lies in no folder; make {str(path.parent)!r} first")
    return path


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
