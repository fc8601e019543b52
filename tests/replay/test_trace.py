"""Reading, drawing and halving traces."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.errors import TraceError
from lull.model.arrays import F64
from lull.replay import trace as trace_module
from lull.replay.trace import Trace, capacity_rps, halves, read, sample

TRACES = Path(__file__).parents[3] / "shared" / "traces"


def a_file(folder: Path, *lines: str, name: str = "shop.csv") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def a_trace(requests: object, bin_s: float = 60.0) -> Trace:
    counts = np.array(requests, dtype=float)
    return Trace("shop", bin_s, tuple(f"s{number}" for number in range(counts.shape[1])), counts)


def test_a_single_series_is_read(tmp_path: Path) -> None:
    found = read(a_file(tmp_path, "seconds,requests,prompt_tokens", "0,5,70", "60,0,0", "120,2.5,9"))
    assert (found.name, found.bin_s, found.series, found.span_s) == ("shop", 60.0, ("shop",), 180.0)
    assert found.requests.tolist() == [[5.0], [0.0], [2.5]]


def test_in_a_fleet_a_pair_that_is_not_written_held_none(tmp_path: Path) -> None:
    lines = ["seconds,series,requests", "300,b,4", "60,a,1", "120,b,2", "300,b,3"]
    found = read(a_file(tmp_path, *lines))
    assert (found.bin_s, found.series) == (60.0, ("a", "b"))
    assert found.requests.tolist() == [[1, 0], [0, 2], [0, 0], [0, 0], [0, 7]]


@pytest.mark.parametrize("name", ["shop.csv.gz", "shop.csv", "shop"])
def test_gzip_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"seconds,requests\n0,5\n1,6\n"))
    found = read(path)
    assert (found.name, found.requests.tolist()) == ("shop", [[5.0], [6.0]])


def test_plain_text_called_gz_is_read(tmp_path: Path) -> None:
    assert read(a_file(tmp_path, "seconds,requests", "0,5", "1,6", name="shop.csv.gz")).span_s == 2.0


def test_a_spreadsheets_habits_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes('\ufeffseries, requests , seconds\r\n"a, b",1,0\r\n\r\n c,1e3,60.0\r\n'.encode())
    found = read(path)
    assert (found.series, found.requests.tolist()) == (("a, b", "c"), [[1.0, 0.0], [0.0, 1000.0]])


@pytest.mark.parametrize(
    ("seconds", "bin_s"),
    [
        pytest.param([0, 1], 1.0, id="every second"),
        pytest.param([0, 120, 300], 60.0, id="minutes, some left out"),
        pytest.param([7, 8, 3600], 1.0, id="a second somewhere"),
        pytest.param([1_700_000_030, 1_700_000_330], 300.0, id="a clock's seconds"),
        pytest.param([0.0, 0.1, 0.3], 0.1, id="tenths"),
        pytest.param([90, 30, 60], 30.0, id="not sorted"),
    ],
)
def test_the_width_of_a_bin_is_in_the_data(tmp_path: Path, seconds: list[float], bin_s: float) -> None:
    found = read(a_file(tmp_path, "seconds,requests", *(f"{second},1" for second in seconds)))
    assert found.bin_s == bin_s
    assert found.requests.sum() == len(seconds)
    assert found.requests[[0, -1]].tolist() == [[1.0], [1.0]]
    assert len(found.requests) == round((max(seconds) - min(seconds)) / bin_s) + 1


def test_a_wider_bin_sums(tmp_path: Path) -> None:
    path = a_file(tmp_path, "seconds,requests", *(f"{second},{second}" for second in range(10, 21)))
    found = read(path, bin_s=4)
    assert (found.bin_s, found.requests.ravel().tolist()) == (4.0, [10 + 11 + 12 + 13, 14 + 15 + 16 + 17, 18 + 19 + 20])


@pytest.mark.parametrize("bin_s", [0, -60, 30, 90, 60.5, 60.0001, float("nan"), float("inf")])
def test_bins_are_not_cut(tmp_path: Path, bin_s: float) -> None:
    path = a_file(tmp_path, "seconds,requests", "0,1", "60,1", "120,1")
    with pytest.raises(TraceError, match="ask for a multiple of 60 s"):
        read(path, bin_s=bin_s)


@st.composite
def written(draw: st.DrawFn) -> tuple[F64, list[str]]:
    """A fleet, and the lines of a file of it in some order."""
    counts = draw(
        st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=2, max_size=12).filter(
            lambda rows: sum(rows[0]) > 0 and sum(rows[-1]) > 0 and all(map(sum, zip(*rows, strict=True)))
        )
    )
    lines = [
        f"{60 * place + 60_000},{name},{count / 4}"
        for place, row in enumerate(counts)
        for name, count in zip("abc", row, strict=True)
        if count
    ]
    return np.array(counts) / 4, draw(st.permutations(lines))


@given(written())
def test_rows_may_stand_in_any_order(case: tuple[F64, list[str]]) -> None:
    counts, lines = case
    with tempfile.TemporaryDirectory() as folder:
        found = read(a_file(Path(folder), "seconds,series,requests", *lines, "60000,a,0", "60060,a,0"))
    assert (found.bin_s, found.series) == (60.0, ("a", "b", "c"))
    np.testing.assert_array_equal(found.requests, counts)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param([], ["empty", "seconds,requests"], id="empty file"),
        pytest.param(["seconds,requests"], ["no row"], id="header only"),
        pytest.param(["seconds,requests", "", ""], ["no row"], id="empty lines only"),
        pytest.param(["seconds,series,instances", "0,a,3"], ["line 1", "'requests'", "instances"], id="replicas"),
        pytest.param(["seconds,gco2_per_kwh", "0,3"], ["line 1", "'requests'", "gco2_per_kwh"], id="carbon"),
        pytest.param(["time,requests", "0,3"], ["line 1", "'seconds'", "time"], id="no seconds"),
        pytest.param(["seconds,requests,requests", "0,3,4"], ["line 1", "twice"], id="a column twice"),
        pytest.param(["seconds,requests", "0,3", "", "60,many"], ["line 4", "requests is 'many'"], id="no number"),
        pytest.param(["seconds,requests", "0,3", "60,"], ["line 3", "requests is ''", "leave"], id="no value"),
        pytest.param(["seconds,requests", "noon,3"], ["line 2", "seconds is 'noon'"], id="no time"),
        pytest.param(["seconds,requests", "0,3", "60,-3"], ["line 3", "requests is '-3'", "0 or more"], id="negative"),
        pytest.param(["seconds,requests", "0,3", "-60,3"], ["line 3", "seconds is '-60'"], id="before the origin"),
        pytest.param(["seconds,requests", "0,nan"], ["line 2", "requests is 'nan'"], id="nan"),
        pytest.param(["seconds,requests", "0,inf"], ["line 2", "requests is 'inf'"], id="infinite"),
        pytest.param(["seconds,requests", "0,3", "60"], ["line 3", "2 columns, but 1"], id="short row"),
        pytest.param(["seconds,series,requests", "0,a,b,3"], ["line 2", "3 columns, but 4", "quote"], id="long row"),
        pytest.param(["seconds,series,requests", "0,,3"], ["line 2", "series is ''"], id="nameless series"),
        pytest.param(["seconds,requests", "0,3"], ["only one bin", "at least two"], id="one bin"),
        pytest.param(["seconds,series,requests", "0,a,3", "0,b,3"], ["only one bin"], id="one bin of a fleet"),
        pytest.param(["seconds,requests", "1763740800000,3"], ["line 2", "not parts"], id="milliseconds"),
        pytest.param(["seconds,requests", "0.3333333,3"], ["line 2", "milliseconds"], id="finer than a millisecond"),
        pytest.param(["seconds,series,requests", '0,"a\nb",1', "60,c,x"], ["line 4", "'x'"], id="below a broken line"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, lines: list[str], told: list[str]) -> None:
    with pytest.raises(TraceError, match=r"shop\.csv") as refused:
        read(a_file(tmp_path, *lines))
    for part in told:
        assert part in str(refused.value)


def test_the_line_is_told_far_down_too(tmp_path: Path) -> None:
    lines = [f"{60 * place},1" for place in range(10_000)]
    with pytest.raises(TraceError, match=r"line 9002: requests is 'x'"):
        read(a_file(tmp_path, "seconds,requests", *lines[:9000], "1,x", *lines[9000:]))


def test_a_bin_as_wide_as_the_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="smaller bin"):
        read(a_file(tmp_path, "seconds,requests", "0,1", "60,1"), bin_s=120)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(b"seconds,requests\n" + b"0,1\n" * 5000)[:-20], id="gzip cut short"),
        pytest.param(b"\x1f\x8bnothing of the kind", id="gzip by its first bytes only"),
        pytest.param(b"seconds,requests\n0,\xff\n", id="no UTF-8"),
    ],
)
def test_a_broken_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=r"shop\.csv: .*; give a CSV file"):
        read(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(TraceError, match=str(path)):
            read(path)


def test_a_trace_too_large_to_hold_is_refused_and_the_bin_it_names_will_do(tmp_path: Path) -> None:
    path = a_file(tmp_path, "seconds,requests", "0,1", "1,2", "2000000000,4")
    with pytest.raises(TraceError, match=r"16\.0 GB.* of 9 s or more"):
        read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_module, "MOST_BYTES", 800)
        with pytest.raises(TraceError, match=r"of 2e\+07 s or more"):
            read(path)
        assert read(path, bin_s=20_000_001).requests[[0, -1]].ravel().tolist() == [3.0, 4.0]


@pytest.mark.parametrize(("bins", "training"), [(2, 1), (3, 1), (10, 5)])
def test_the_first_half_trains(bins: int, training: int) -> None:
    whole = a_trace(np.arange(bins)[:, None])
    first, second = halves(whole)
    assert first.requests.ravel().tolist() == list(range(training))
    assert second.requests.ravel().tolist() == list(range(training, bins))
    assert (
        (first.name, first.bin_s, first.series) == (second.name, second.bin_s, second.series) == ("shop", 60.0, ("s0",))
    )


def test_one_bin_has_no_halves() -> None:
    with pytest.raises(TraceError, match="shop: 1 bins"):
        halves(a_trace([[1]]))


def test_a_replica_serves_a_sixth_of_the_training_peak() -> None:
    counts = np.zeros((1001, 4))
    counts[:, 0] = 3600
    counts[:, 1] = np.arange(1001)
    counts[5, 2] = 120
    found = capacity_rps(a_trace(counts))
    np.testing.assert_allclose(found[:3], [3600 / 60 / 6, 995 / 60 / 6, 120 / 60])
    assert np.isnan(found[3])


def test_a_sample_is_the_same_for_a_seed() -> None:
    first, again, other = sample(7, days=2), sample(7, days=2), sample(8, days=2)
    assert first.series == again.series
    np.testing.assert_array_equal(first.requests, again.requests)
    assert all((a != b).any() for a, b in zip(first.requests.T, other.requests.T, strict=True))


def test_a_larger_sample_contains_the_smaller() -> None:
    few, many = sample(7, days=2, series=5), sample(7, days=2, series=14)
    assert many.series[:5] == few.series
    assert len(set(many.series)) == 14
    np.testing.assert_array_equal(many.requests[:, :5], few.requests)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_sample_has_every_character(seed: int) -> None:
    found = sample(seed)
    assert (found.bin_s, found.span_s, found.requests.shape) == (60.0, 14 * 86_400.0, (20_160, 12))
    by_name = dict(zip(found.series, found.requests.T, strict=True))
    busy = {name: float((counts > 0).mean()) for name, counts in by_name.items()}
    peak = {name: float(counts.max() / np.median(counts[counts > 0])) for name, counts in by_name.items()}
    days = {name: counts.reshape(14, 1440) for name, counts in by_name.items()}
    for number in "12":
        assert busy[f"steady-{number}"] > 0.95
        assert 0.02 < busy[f"batch-{number}"] < 0.6
        assert 0.0 < busy[f"sparse-{number}"] < 0.05
        assert peak[f"flash-{number}"] > 2 * peak[f"steady-{number}"]
        # a day has its hours, and differs from the others
        hourly = days[f"daily-{number}"].reshape(14, 24, 60).sum(axis=2)
        by_hour = hourly.mean(axis=0)
        assert by_hour.max() > 2 * by_hour.min()
        assert 0.3 < np.corrcoef(hourly[:-1].ravel(), hourly[1:].ravel())[0, 1] < 0.95
        # somewhere a level breaks for good, by more than days and weeks change it
        weekly = days[f"shifted-{number}"].sum(axis=1)
        steps = [weekly[place:].mean() / weekly[:place].mean() for place in range(3, 12)]
        assert max(max(steps), 1 / min(steps)) > 1.5


def test_a_sample_is_no_clean_sine_with_poisson_noise() -> None:
    found = sample(3)
    by_name = dict(zip(found.series, found.requests.T, strict=True))
    outages = 0
    for name in ("steady-1", "steady-2", "daily-1", "daily-2"):
        neighbours = by_name[name].reshape(-1, 10)
        busy = neighbours[neighbours.min(axis=1) > 0]
        # Poisson has 1; the minutes are neighbours, between which the level hardly moves
        assert (busy.var(axis=1, ddof=1) / busy.mean(axis=1)).mean() > 1.5, name
        outages += int((neighbours == 0).all(axis=1).any())
    assert outages >= 2
    # hours of their own: not one shape rescaled
    assert abs(np.corrcoef(by_name["daily-1"], by_name["daily-2"])[0, 1]) < 0.8


def test_weekends_of_a_sample_are_quieter() -> None:
    found = sample(3, days=56, series=12, bin_s=3600.0)
    daily = found.requests[:, found.series.index("daily-1")].reshape(8, 7, 24).sum(axis=(0, 2))
    quietest = set(np.argsort(daily)[:2].tolist())
    assert quietest <= {4, 5, 6}  # the hours are a series' own, so its weekend may begin on Friday
    assert np.sort(daily)[1] < 0.8 * np.sort(daily)[2:].mean()


@pytest.mark.parametrize("bin_s", [1.0, 60.0, 600.0])
def test_the_width_of_a_bin_changes_no_samples_volume(bin_s: float) -> None:
    steady = sample(5, days=1, series=1, bin_s=bin_s)
    assert steady.span_s == 86_400.0
    np.testing.assert_allclose(steady.requests.sum(), sample(5, days=1, series=1).requests.sum(), rtol=0.2)


@pytest.mark.parametrize(
    "wrong",
    [{"series": 0}, {"days": 0}, {"days": -1}, {"bin_s": 0}, {"bin_s": 86_400, "days": 1}, {"bin_s": 0.001}],
    ids=str,
)
def test_a_sample_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(TraceError, match="ask for one series or more"):
        sample(1, **wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not TRACES.is_dir(), reason="no recorded traces beside the repository")
def test_recorded_traces_add_up_to_what_their_manifest_says() -> None:
    files = json.loads((TRACES / "manifest.json").read_text())["files"]
    counted = [entry for entry in files if "requests" in entry["columns"]]
    assert counted
    for entry in counted:
        found = read(TRACES / entry["file"])
        assert (found.bin_s, found.requests.sum()) == (entry["resolution_seconds"], entry["total"]), entry["file"]
        assert found.span_s <= entry["span_seconds"]
