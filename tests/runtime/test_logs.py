"""Log lines, for machines and for people."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from builders import some_settings
from lull.runtime.logs import set_up
from lull.settings import LogFormat, LogLevel


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Logging belongs to the process; every test hands it back."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def line(capsys: pytest.CaptureFixture[str], shape: LogFormat, message: str, *args: object, **extra: object) -> str:
    set_up(some_settings(log_format=shape))
    logging.getLogger("lull.test").info(message, *args, extra=extra)
    return capsys.readouterr().err


def test_json_has_the_message_and_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(line(capsys, LogFormat.JSON, "scale from %d to %d", 2, 5, model="chat", need=4.5))
    at = found.pop("at")
    assert found == {
        "level": "info",
        "from": "lull.test",
        "message": "scale from 2 to 5",
        "model": "chat",
        "need": 4.5,
    }
    assert at.endswith("+00:00")


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert line(capsys, LogFormat.JSON, "two\nlines", why="more\nlines").count("\n") == 1


def test_json_takes_any_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        json.loads(
            line(
                capsys,
                LogFormat.JSON,
                "x",
                what={
                    1,
                },
            )
        )["what"]
        == "{1}"
    )


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    found = line(capsys, LogFormat.TEXT, "scaled", model="chat", after=5)
    assert found.endswith("INFO    lull.test: scaled model=chat after=5\n")


@pytest.mark.parametrize("shape", list(LogFormat))
def test_an_exception_has_its_trace(capsys: pytest.CaptureFixture[str], shape: LogFormat) -> None:
    set_up(some_settings(log_format=shape))
    try:
        int("a mistake")
    except ValueError:
        logging.getLogger("lull.test").exception("failed")
    found = capsys.readouterr().err
    assert "Traceback" in found
    assert "ValueError: invalid literal" in found


@pytest.mark.parametrize(
    ("level", "written"), [(LogLevel.DEBUG, 3), (LogLevel.INFO, 2), (LogLevel.WARNING, 1), (LogLevel.ERROR, 0)]
)
def test_the_level_is_the_settings(capsys: pytest.CaptureFixture[str], level: LogLevel, written: int) -> None:
    set_up(some_settings(log_level=level))
    log = logging.getLogger("lull.test")
    log.debug("one")
    log.info("two")
    log.warning("three")
    assert len(capsys.readouterr().err.splitlines()) == written


def test_the_libraries_are_quieter_than_lull(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(some_settings(log_level=LogLevel.INFO))
    logging.getLogger("kopf.objects").info("handler succeeded")
    logging.getLogger("aiohttp.access").info("GET /healthz")
    assert capsys.readouterr().err == ""


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(some_settings())
    logging.getLogger("lull.test").warning("x")
    print("y", file=sys.stdout)
    found = capsys.readouterr()
    assert found.out == "y\n"
    assert "x" in found.err
