"""The chart: what is drawn where, at any width, with dots and without."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lull.render.chart import Ahead, Ink, Line, Run, Scene, draw

HEIGHT = 12
HOUR = Ahead(3600.0, 20.0, 30.0, 40.0)
RATES = st.lists(st.one_of(st.none(), st.floats(0.0, 1e7), st.sampled_from([5e-324, 1e-9])), max_size=200)
FANS = st.lists(st.tuples(*[st.floats(0.0, 1e7)] * 3), max_size=6)


def lines(rows: list[list[Run]]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


def cells(rows: list[list[Run]], ink: Ink) -> set[tuple[int, int]]:
    """Rows and columns of one ink."""
    found = set()
    for y, row in enumerate(rows):
        x = 0
        for text, of in row:
            found |= {(y, x + i) for i in range(len(text)) if of is ink}
            x += len(text)
    return found


def picture(scene: Scene, width: int = 100, *, plain: bool = False) -> list[list[Run]]:
    return draw(scene, width, HEIGHT, plain=plain)


@given(RATES, FANS, st.lists(st.floats(0.0, 1e7), max_size=2), st.integers(40, 120), st.booleans())
def test_no_row_is_wider_than_asked_whatever_is_drawn(
    rates: list[float | None], fan: list[tuple[float, ...]], levels: list[float], width: int, plain: bool
) -> None:
    ahead = [Ahead(60.0 * (i + 1), *quantiles) for i, quantiles in enumerate(fan)]
    inks = (Ink.HAVE, Ink.WANT)
    scene = Scene(rates, 60.0, ahead, [Line(rps, "3 replicas", ink) for rps, ink in zip(levels, inks, strict=False)])
    drawn = lines(draw(scene, width, HEIGHT, plain=plain))
    assert len(drawn) == HEIGHT + 2
    assert max(map(len, drawn)) <= width
    assert not plain or "".join(drawn).isascii()


def test_what_is_unknown_is_marked_and_not_drawn_as_zero() -> None:
    scene = Scene([10.0] * 60 + [None] * 60 + [10.0] * 60, 60.0, [])
    rows = picture(scene)
    unknown = {x for _, x in cells(rows, Ink.UNKNOWN)}
    past = {x for _, x in cells(rows, Ink.PAST)}
    assert len(unknown) > 25
    assert len(unknown & past) <= 2, "they meet at the edges at most"
    assert {y for y, _ in cells(rows, Ink.PAST)} == {next(iter(cells(rows, Ink.PAST)))[0]}, "no line falls to zero"


def test_before_anything_was_known_nothing_is_marked() -> None:
    assert not cells(picture(Scene([None] * 90 + [10.0] * 90, 60.0, [])), Ink.PAST) & {
        (y, x) for y in range(HEIGHT) for x in range(40)
    }


def test_a_peak_of_one_step_is_seen_at_any_width() -> None:
    """The highest of the steps that fall into one column is what is drawn."""
    for width in (40, 80, 100, 120):
        rates = [1.0] * 180
        rates[77] = 100.0
        assert min(y for y, _ in cells(picture(Scene(rates, 60.0, []), width), Ink.PAST)) <= 2


def test_a_jump_is_a_line() -> None:
    drawn = cells(picture(Scene([1.0] * 90 + [100.0] * 90, 60.0, [])), Ink.PAST)
    assert {y for y, _ in drawn} == set(range(min(y for y, _ in drawn), HEIGHT))


def test_the_lines_are_where_their_rates_are() -> None:
    scene = Scene([50.0] * 180, 60.0, [], [Line(100.0, "4 wanted", Ink.WANT), Line(0.0, "none", Ink.HAVE)])
    rows = picture(scene)
    want, have = ({y for y, _ in cells(rows, ink)} for ink in (Ink.WANT, Ink.HAVE))
    assert len(want) == len(have) == 1
    assert have == {HEIGHT - 1}
    past = {y for y, _ in cells(rows, Ink.PAST)}
    assert max(want) < min(past) < HEIGHT - 1
    assert "4 wanted" in lines(rows)[min(want)]


def test_of_two_lines_in_one_row_one_is_called() -> None:
    scene = Scene([50.0] * 180, 60.0, [], [Line(100.0, "3 replicas", Ink.HAVE), Line(100.4, "4 wanted", Ink.WANT)])
    text = "\n".join(lines(picture(scene)))
    assert "4 wanted" in text
    assert "3 replicas" not in text


def test_the_fan_opens_after_now_from_median_to_rare() -> None:
    rows = picture(Scene([20.0] * 180, 60.0, [HOUR]))
    now = min(x for _, x in cells(rows, Ink.MEDIAN))
    assert now >= max(x for _, x in cells(rows, Ink.PAST))
    last = max(x for _, x in cells(rows, Ink.MEDIAN))
    heights = [min(y for y, x in cells(rows, ink) if x >= last - 1) for ink in (Ink.RARE, Ink.LIKELY, Ink.MEDIAN)]
    assert heights == sorted(heights)
    assert len(set(heights)) == 3


def test_what_is_rare_does_not_dwarf_the_rest() -> None:
    rows = picture(Scene([20.0] * 180, 60.0, [Ahead(3600.0, 20.0, 30.0, 1e6)]))
    assert min(y for y, _ in cells(rows, Ink.PAST)) < HEIGHT - 3


def test_the_time_is_told_below() -> None:
    axis = lines(picture(Scene([20.0] * 180, 60.0, [HOUR])))[-1]
    assert " ".join(axis.split()) == "-3 h -2.5 h -2 h -1.5 h -1 h -30 min now +30 min +1 h"


def test_a_model_known_for_minutes_is_shown_at_their_scale() -> None:
    axis = lines(picture(Scene([20.0] * 10, 60.0, [Ahead(300.0, 20.0, 30.0, 40.0)])))[-1]
    assert axis.split()[:2] == ["-15", "min"]


def test_the_plain_chart_has_a_character_for_each_ink() -> None:
    fan = [Ahead(3600.0, 20.0, 35.0, 55.0)]
    scene = Scene([20.0, None] * 90, 60.0, fan, [Line(30.0, "3 replicas", Ink.HAVE), Line(60.0, "4", Ink.WANT)])
    text = "\n".join(lines(picture(scene, plain=True)))
    assert all(glyph in text for glyph in "*+:.-=|")


def test_nothing_at_all_is_an_empty_chart() -> None:
    rows = picture(Scene([], 60.0, []))
    assert len(rows) == HEIGHT + 2
    assert not cells(rows, Ink.PAST)
