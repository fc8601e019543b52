"""Time zones by their IANA names: tables in files, so they are read here and handed to the planner as values."""

from __future__ import annotations

from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lull.errors import SpecError


def zone(name: str) -> tzinfo:
    """The zone of that name.

    Raises:
        SpecError: when there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SpecError(f"{name!r} is no time zone; write an IANA name such as Europe/Berlin") from error
