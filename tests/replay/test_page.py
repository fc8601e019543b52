"""A report as a table of 120 columns, and as a page that needs nothing else and shows no number but the JSON's."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from lull.replay.page import page
from lull.replay.report import Report, as_json, report
from lull.replay.study import Study
from lull.replay.svg import Scale, stairs
from lull.replay.table import WIDTH, table
from lull.replay.words import number, percent, times
from replay.small_studies import ASKED, HOSTILE, a_fleet, a_study, a_trace, steady


@pytest.fixture(scope="module")
def found() -> Study:
    return a_study(a_fleet(), *ASKED)


@pytest.fixture(scope="module")
def told(found: Study) -> Report:
    return report(found)


def printed(told: Report, **options: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=WIDTH, highlight=False, **options).print(table(told))
    return out.getvalue()


def test_the_table_fits_and_names_all(told: Report) -> None:
    lines = printed(told).splitlines()
    assert max(map(len, lines)) <= WIDTH
    for name, policy in told["policies"].items():
        (row,) = [line.split() for line in lines if line.startswith(f" {name} ")]
        assert percent(policy["missed_ratio"]).split()[0] in row
        assert times(policy["clairvoyant_ratio"]) in row
    assert "Left out: late" in lines[-1]


def test_a_narrow_terminal_gets_fewer_columns(told: Report) -> None:
    out = io.StringIO()
    Console(file=out, width=80, highlight=False).print(table(told, 80))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "J/req" not in text
    for policy in told["policies"].values():
        assert times(policy["at"]["0.005"]) in text


def test_the_table_takes_names_as_they_are_and_has_no_colours_in_a_file(told: Report) -> None:
    text = printed(told)
    assert "[red]" in text
    assert "\x1b" not in text
    assert "\x1b" in printed(told, force_terminal=True)


class Cells(HTMLParser):
    """The tables of a page, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "img", "iframe", "object", "embed"}:
            pytest.fail(f"<{tag} {attrs}> brings something along")
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "td" in self.open:
            self.rows[-1][-1] += data


def read_page(text: str) -> Cells:
    cells = Cells()
    cells.feed(text)
    assert cells.open == []
    return cells


def test_the_page_needs_nothing_else(found: Study, told: Report) -> None:
    text = page([(told, found.scenes)])
    read_page(text)
    for outside in ("http:", "https:", "//", "@import", "url(", "src=", "href="):
        assert outside not in text.replace("<!doctype", "")
    assert "prefers-color-scheme:dark" in text


def test_the_pictures_are_sound(found: Study, told: Report) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page([(told, found.scenes)]), re.DOTALL)
    assert len(pictures) == 2 + len(found.scenes)
    for picture in pictures:
        root = ET.fromstring(picture)  # noqa: S314 - our own
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        places = [float(value) for value in re.findall(r"[ML ](-?[0-9.]+)", " ".join(_paths(root)))]
        assert not any(np.isnan(places))
        for label in root.iter("text"):
            assert 0.0 <= float(label.attrib["x"]) <= width
            assert 0.0 <= float(label.attrib["y"]) <= height


def _paths(root: ET.Element) -> list[str]:
    return [shape.attrib["d"] for shape in root.iter("path") if "transform" not in shape.attrib]


def test_every_number_of_the_page_is_one_of_the_json(found: Study, told: Report) -> None:
    rows = {row[0]: row[1:] for row in read_page(page([(told, found.scenes)])).rows if row}
    read = json.loads(as_json([told]))
    for name, policy in read["policies"].items():
        assert rows[name] == [
            percent(policy["missed_ratio"]),
            percent(policy["cold_hit_ratio"]),
            number(policy["energy_j"] / 3.6e6),
            number(policy["replica_hours"]),
            number(policy["starts_per_model_day"]),
            percent(policy["over_ratio"]),
            percent(policy["under_ratio"]),
            times(policy["clairvoyant_ratio"]),
            times(policy["clairvoyant_ratio_uncovered"]),
            times(policy["clairvoyant_ratio_each"]),
            times(policy["at"]["0.005"]),
            times(policy["at"]["0.01"]),
        ]
    for name, model in read["policies"]["lull"]["models"].items():
        figures = [percent(model["missed_ratio"]), percent(model["cold_hit_ratio"]), times(model["clairvoyant_ratio"])]
        assert rows[name] == [number(model["requests"]), *figures]
    assert rows["late"] == [read["not_suited"]["late"]]


def test_the_bars_are_the_energies_of_the_json(found: Study, told: Report) -> None:
    text = page([(told, found.scenes)])
    for name, policy in told["policies"].items():
        for part, word in (("idle_j", "being on"), ("start_j", "starting"), ("dynamic_j", "the work itself")):
            joules = number(policy[part] / policy["requests"])
            assert f"<title>{name}, {word}: {joules} J</title>" in text


def test_names_from_a_trace_are_only_text(found: Study, told: Report) -> None:
    text = page([(told, found.scenes)])
    assert HOSTILE not in text
    assert HOSTILE in read_page(text).text
    assert "shop <i>" in read_page(text).text


def test_a_page_may_hold_several_studies_and_one_without_lull(found: Study, told: Report) -> None:
    alone = a_study(a_trace(steady(40), name="night"), "clairvoyant")
    text = page([(told, found.scenes), (report(alone), alone.scenes)])
    read_page(text)
    assert text.count("<h1>") == 2
    assert "Only the clairvoyant took part" in text


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0.0, 10.0, 0.0, 1.0), [0, 2, 4, 6, 8, 10]),
        (Scale(0.0, 0.0, 0.0, 1.0), [0]),
        (Scale(20.0, 600.0, 0.0, 1.0, is_log=True), [20, 50, 100, 200, 500]),
        (Scale(1e-4, 1.0, 0.0, 1.0, is_log=True), [1e-4, 1e-3, 1e-2, 0.1, 1]),
    ],
)
def test_ticks_are_round(scale: Scale, ticks: list[float]) -> None:
    assert scale.ticks == pytest.approx(ticks)


def test_what_lies_beyond_a_scale_stands_at_its_end() -> None:
    scale = Scale(0.01, 1.0, 100.0, 0.0, is_log=True)
    assert [scale(value) for value in (0.0, 0.01, 0.1, 1.0, 9.0)] == pytest.approx([100, 100, 50, 0, 0])


def test_bins_of_one_value_are_one_stair() -> None:
    across, up = Scale(0.0, 4.0, 0.0, 40.0), Scale(0.0, 3.0, 0.0, 3.0)
    assert stairs([1, 1, 3, 3], across, up) == [(0, 1), (0, 1), (20, 1), (20, 3), (40, 3)]
