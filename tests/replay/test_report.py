"""What a study is told as: figures in JSON, and sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lull import __version__
from lull.commands.processes import Processes
from lull.replay.options import Options
from lull.replay.page import page
from lull.replay.report import Report, as_json, report
from lull.replay.study import Study, study
from lull.replay.words import conclusion, number, percent, ranked, span, times, wished, worst_models
from replay.small_studies import ASKED, HOSTILE, PUNCTUAL, a_fleet, a_study, a_trace, steady


@pytest.fixture(scope="module")
def found() -> Study:
    return a_study(a_fleet(), *ASKED)


@pytest.fixture(scope="module")
def told(found: Study) -> Report:
    return report(found)


def test_the_json_has_what_was_promised(told: Report) -> None:
    read = json.loads(as_json([told]), parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    assert set(read) == {"policies", "trace", "options", "not_suited", "seed", "version", "conclusion"}
    assert (read["seed"], read["version"], read["trace"]["name"]) == (1, __version__, "shop <i>")
    assert tuple(read["policies"]) == ASKED
    promised = {"requests", "missed_ratio", "cold_hit_ratio", "energy_j", "idle_j", "start_j", "dynamic_j"}
    promised |= {"replica_hours", "starts", "clairvoyant_ratio", "front"}
    for policy in read["policies"].values():
        assert promised <= set(policy)
        assert all(isinstance(policy[name], float) for name in promised - {"front", "clairvoyant_ratio"})
        assert policy["energy_j"] == pytest.approx(policy["idle_j"] + policy["start_j"] + policy["dynamic_j"])
        assert set(policy["at"]) == {"0.005", "0.01"}


def test_what_is_not_suited_is_listed_and_no_model(told: Report) -> None:
    assert list(told["not_suited"]) == ["late"]
    assert "training half" in told["not_suited"]["late"]
    assert all(set(policy["models"]) == {"steady", HOSTILE, "rare"} for policy in told["policies"].values())
    assert "1 of 4 series were left out" in told["conclusion"][-1]


def test_fronts_rise_in_misses_and_fall_in_energy(told: Report) -> None:
    for policy in told["policies"].values():
        for name in ("front", "provisioning_front"):
            missed, energy_j = np.array(policy[name]).T
            assert (np.diff(missed) > 0).all()
            assert (np.diff(energy_j) < 0).all()


def test_models_add_up_to_the_fleet(told: Report) -> None:
    for policy in told["policies"].values():
        models = policy["models"].values()
        for name in ("requests", "energy_j", "provisioning_j", "starts", "replica_hours"):
            assert policy[name] == pytest.approx(sum(model[name] for model in models))
        missed = sum(model["missed_ratio"] * model["requests"] for model in models if model["requests"])
        assert policy["missed_ratio"] == pytest.approx(missed / policy["requests"], abs=1e-12)


def test_those_that_keep_to_their_own_share_are_told_apart(told: Report) -> None:
    for policy in told["policies"].values():
        own, models = policy["own_share"], policy["models"]
        beyond = [name for name, model in models.items() if (model["missed_ratio"] or 0.0) > 0.005]
        assert (own["beyond"], own["within"]) == (beyond, 3 - len(beyond))
        within = [model for name, model in models.items() if name not in beyond and model["clairvoyant_ratio"]]
        least_j = sum(model["provisioning_j"] / model["clairvoyant_ratio"] for model in within)
        if least_j:
            spent_j = sum(model["provisioning_j"] for model in within)
            assert own["clairvoyant_ratio"] == pytest.approx(spent_j / least_j)


def test_a_steady_series_by_hand() -> None:
    """Six replicas for 20 min of 600 requests: 60 W, a start of 120 s beyond its minute each, all six at work."""
    told = report(a_study(a_trace(steady(40)), "static"))
    static = told["policies"]["static"]
    assert static["idle_j"] == pytest.approx(6 * (1200 + 60) * 60)
    assert static["start_j"] == pytest.approx(6 * 120 * 60)
    assert static["dynamic_j"] == pytest.approx(6 * 1200 * 240, rel=1e-6)
    assert (static["starts"], static["replica_hours"]) == (6, 6 * 1260 / 3600)
    assert (static["over_ratio"], static["under_ratio"]) == (pytest.approx(0.0, abs=1e-6), 0.0)
    assert static["starts_per_model_day"] == pytest.approx(6 * 72)
    assert static["knob"] == {"meaning": "headroom over that peak", "value": 0.85}
    assert told["policies"]["static"]["models"]["s0"]["clairvoyant_ratio"] == pytest.approx(1.0)


def test_nothing_known_is_null_and_never_a_number() -> None:
    """A series without a request in the scored half misses nothing that could be a share, and its bound is nothing."""
    early = np.concatenate([steady(30), np.zeros(30)])
    told = report(a_study(a_trace(steady(60), early), "static", "lull"))
    model = told["policies"]["static"]["models"]["s1"]
    assert (model["missed_ratio"], model["clairvoyant_ratio"]) == (None, None)
    assert model["energy_j"] > 0.0
    assert told["policies"]["lull"]["knob"]["value"] is None
    assert "NaN" not in as_json([told])


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    chancy = Options(seed=1)
    one, again, other = (
        as_json([report(study(a_fleet(), ("lull", "hpa"), options))])
        for options in (chancy, Options(seed=1), Options(seed=2))
    )
    assert one == again
    assert one != other


def test_the_number_of_processes_changes_no_byte(found: Study, told: Report) -> None:
    with Processes(2) as run_all:
        parts: list[float] = []
        elsewhere = study(a_fleet(), ASKED, Options(physics=PUNCTUAL), progress=parts.append, run_all=run_all)
    assert as_json([report(elsewhere)]) == as_json([told])
    assert page([(report(elsewhere), elsewhere.scenes)]) == page([(told, found.scenes)])
    assert sum(parts) == pytest.approx(1.0)


def test_several_studies_are_a_list(told: Report) -> None:
    assert json.loads(as_json([told, told])) == {"studies": [json.loads(as_json([told]))] * 2}


def a_report(objective: float = 0.005, **at: float | None) -> Report:
    """Policies with a ratio at the objective and hardly anything else."""
    policies = {
        name: {
            "at": {f"{objective:g}": ratio},
            "missed_ratio": 0.0055,
            "clairvoyant_ratio": 1.3,
            "knob": {"value": None if name.startswith("lull") else 0.5},
            "own_share": {"within": 1, "beyond": ["b"]},
            "models": {
                "a": {"missed_ratio": 0.0, "clairvoyant_ratio": 1.2},
                "b": {"missed_ratio": 0.2, "clairvoyant_ratio": None},
                "c": {"missed_ratio": None, "clairvoyant_ratio": None},
                "d": {"missed_ratio": 0.0, "clairvoyant_ratio": 3.0},
            },
        }
        for name, ratio in ((key.replace("_", "-"), value) for key, value in at.items())
    }
    options = {"objective_ratio": objective}
    return {"policies": policies, "options": options, "trace": {"suited": 3, "series": 3}, "not_suited": {}}


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        pytest.param(
            {"lull": 1.2, "hpa": 1.5, "keda": 2.4},
            "At 0.5 % missed, lull needs 1.20 times the clairvoyant's provisioning energy: 20 % less than hpa (1.50)"
            " and 50 % less than keda (2.40).",
            id="wins",
        ),
        pytest.param(
            {"lull": 1.2, "hpa": 1.5, "lcp": 1.08},
            "At 0.5 % missed, lull needs 1.20 times the clairvoyant's provisioning energy: 20 % less than hpa (1.50)."
            " It loses there: lcp needs 10 % less (1.08).",
            id="loses to one",
        ),
        pytest.param(
            {"lull": 1.2, "hpa": None, "static": None},
            "At 0.5 % missed, lull needs 1.20 times the clairvoyant's provisioning energy."
            " hpa and static do not get down to that share.",
            id="the others do not get there",
        ),
        pytest.param(
            {"lull": None, "hpa": 1.5},
            "lull does not get down to 0.5 % missed anywhere on its front; hpa does at 1.50.",
            id="does not get there itself",
        ),
        pytest.param(
            {"hpa": 1.5, "keda": 1.2, "clairvoyant": 1.0},
            "At 0.5 % missed, keda needs 1.20 times the clairvoyant's provisioning energy: 20 % less than hpa (1.50).",
            id="without lull the best is the subject",
        ),
        pytest.param(
            {"lull": 1.2, "lull_each": 1.1},
            "At 0.5 % missed, lull needs 1.20 times the clairvoyant's provisioning energy.",
            id="its own variants are no rivals",
        ),
    ],
)
def test_the_conclusion_says_who_wins_and_who_loses(at: dict[str, float | None], sentence: str) -> None:
    assert conclusion(a_report(**at))[0] == sentence


@pytest.mark.parametrize(
    ("objective", "verdict"),
    [(0.01, "within the objective of 1 %"), (0.005, "a little beyond the"), (0.002, ", beyond the objective of 0.2 %")],
)
def test_the_conclusion_says_whether_its_own_point_kept_to_the_objective(objective: float, verdict: str) -> None:
    sentences = conclusion(a_report(objective, lull=1.2))
    assert "Left to itself it missed 0.55 %" in sentences[1]
    assert verdict in sentences[1]
    assert "1 of 3 missed more than" in sentences[2]
    assert sentences[2].endswith("worst b with 20 %.")


@pytest.mark.parametrize(("at", "is_off"), [(1.2, False), (1.05, True), (None, False)])
def test_the_conclusion_says_when_its_own_point_is_far_from_its_front(at: float | None, is_off: bool) -> None:
    """Its own point costs 1.30 times the clairvoyant."""
    assert ("its front shows 1.05" in conclusion(a_report(lull=at))[1]) == is_off


def test_the_conclusion_says_what_each_part_is_worth() -> None:
    sentences = conclusion(a_report(lull=1.2, lull_no_forecast=1.5, lull_no_prices=None))
    assert "Without forecast it would need 25 % more (1.50)." in sentences
    assert "Without prices it missed 0.55 % at 1.30 times the clairvoyant." in sentences


def test_ranks_are_by_energy_at_the_objective() -> None:
    asked = a_report(keda=None, hpa=1.5, lull=1.2, clairvoyant=1.0, static=1.3)
    assert ranked(asked) == ["clairvoyant", "lull", "static", "hpa", "keda"]
    assert worst_models(asked["policies"]["lull"], 5) == ["b", "d", "a"]
    assert worst_models(asked["policies"]["lull"], 2) == ["b", "d"]


@pytest.mark.parametrize(
    ("words", "value", "expected"),
    [
        (percent, 0.0046, "0.46 %"),
        (percent, 0.000061, "0.006 %"),
        (percent, 0.0, "0 %"),
        (percent, 1e-9, "< 0.001 %"),
        (percent, 0.12345, "12 %"),
        (percent, None, "-"),
        (wished, 0.005, "0.5 %"),
        (wished, 0.007, "0.7 %"),
        (times, 1.2345, "1.23"),
        (times, 1234.5, "1,234"),
        (times, None, "-"),
        (number, 1234567.0, "1,234,567"),
        (number, 12.345, "12.3"),
        (number, 0.00123, "0.00123"),
        (number, 0.0, "0"),
        (number, None, "-"),
        (span, 14.0, "14 days"),
        (span, 1.5, "36 hours"),
        (span, 0.04, "57.6 minutes"),
    ],
)
def test_numbers_as_people_read_them(words: Callable[[Any], str], value: float | None, expected: str) -> None:
    assert words(value) == expected
