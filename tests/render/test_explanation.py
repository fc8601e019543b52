"""What is told of a model: the decision in its own words, and nothing that is not known."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import START_S, Story, a_memory, a_model, a_view, plan_of, silence, some_settings, some_signals
from explained import LATER_S, STEP_S, a_story, a_wave, explained, recalled
from lull.cycle import plan_cycle
from lull.model.fleet import Fault, Snapshot, Unreadable
from lull.model.plan import Plan
from lull.model.reason import Reason
from lull.model.spec import Key
from lull.model.start import Start, StartSummary
from lull.render.explanation import VERSION, Explanation, explanation_of
from lull.render.sentences import sentence


def the_guards(found: Explanation) -> dict[str, tuple[int, str]]:
    """What each guard that was heard left, and why."""
    first, *rest = found["guards"]
    return {
        step["guard"]: (step["replicas"], step["reason"]) for step in (first, *(s for s in rest if s["is_changed"]))
    }


def test_the_decision_is_told_as_it_was_taken() -> None:
    story = a_story(replicas=2)
    found = explained(story, some_signals(30.0))
    decision = story.look(some_signals(30.0)).models[story.model.key].decision
    assert decision is not None
    told = found["decision"]
    assert (told["before"], told["after"], told["reason"]) == (2, 5, "DemandRise")
    assert told["sentence"] == sentence(decision)
    assert told["evidence"] == pytest.approx(dict(decision.evidence), rel=1e-5)
    assert (told["is_change"], told["is_enforced"], told["why_not_enforced"]) == (True, True, None)
    assert (found["version"], found["mode"], found["prediction"]) == (VERSION, "Enforce", "Enforce")
    assert found["model"] == {
        "namespace": "demo",
        "name": "chat",
        "generation": 1,
        "target": "Deployment/chat",
        "runtime": "triton",
    }


def test_the_sizing_is_told_with_what_would_change_it() -> None:
    found = explained(a_story(replicas=2), some_signals(30.0))["sizing"]
    assert found["replica_limit_rps"] == pytest.approx(6.366, abs=0.001)
    assert (found["need"], found["safe"]) == (5.0, 6.0)
    assert found["grows_above_rps"] == pytest.approx(5 * found["replica_limit_rps"], rel=1e-5)
    assert found["shrinks_below_rps"] == pytest.approx(4 * found["safe_limit_rps"], rel=1e-5)
    assert (found["min_replicas"], found["max_replicas"]) == (1, 20)
    assert found["objectives"] == [{"metric": "Latency", "percentile": 95.0, "threshold_s": 0.8}]


def test_each_guard_that_changes_something_is_told_with_its_reason() -> None:
    """The need would go to one replica, and the window of high recommendations holds all."""
    story = a_story(replicas=4, prediction="Off")
    story.goes_on(some_signals(20.0), for_s=120.0)
    found = explained(story, some_signals(1.0))
    assert the_guards(found) == {"wanted": (1, "DemandFall"), "stabilized": (4, "Stabilizing")}
    assert [step["guard"] for step in found["guards"]] == [
        "wanted",
        "within_tolerance",
        "stabilized",
        "within_direction",
        "within_steps",
        "within_bounds",
        "asleep",
        "tried_again",
        "paused",
    ]
    assert found["guards"][-1]["replicas"] == found["decision"]["after"]


@pytest.mark.parametrize(
    ("spec", "guard", "left"),
    [
        pytest.param({"maxReplicas": 3}, "within_bounds", (3, "AtMaxReplicas"), id="bounds"),
        pytest.param({"mode": "Paused"}, "paused", (2, "Paused"), id="mode"),
        pytest.param(
            {"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}},
            "within_direction",
            (2, "DirectionDisabled"),
            id="direction",
        ),
        pytest.param(
            {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}},
            "within_steps",
            (3, "StepLimited"),
            id="steps",
        ),
    ],
)
def test_the_guard_that_holds_back_a_rise_is_named(spec: dict[str, object], guard: str, left: tuple[int, str]) -> None:
    found = explained(a_story(replicas=2, **spec), some_signals(30.0))
    assert the_guards(found)["wanted"] == (5, "DemandRise")
    assert the_guards(found)[guard] == left
    assert (found["decision"]["after"], found["decision"]["reason"]) == left


@pytest.mark.parametrize(
    ("view", "spec", "says"),
    [
        pytest.param({}, {"mode": "Recommend"}, "mode is Recommend", id="mode"),
        pytest.param({"holder": Key("demo", "older")}, {}, "belongs to the older", id="taken"),
        pytest.param({"contenders": ("HorizontalPodAutoscaler/x",)}, {}, "scales Deployment/chat too", id="contended"),
        pytest.param({"scale_fault": Fault(Reason.SCALE_REFUSED, "no right")}, {}, "no right", id="refused"),
    ],
)
def test_what_keeps_a_decision_from_being_carried_out_is_told(
    view: dict[str, object], spec: dict[str, object], says: str
) -> None:
    found = explained(a_story(replicas=2, **spec), some_signals(30.0), **view)
    assert says in found["decision"]["why_not_enforced"]
    assert found["decision"]["is_enforced"] == ("scale_fault" in view)


def test_what_is_not_known_is_null_and_not_zero() -> None:
    found = explained(a_story(), silence())
    assert found["demand"] == {"arrivals_rps": None, "backlog": None, "service_time_s": None, "data_age_s": None}
    assert [found["sizing"][name] for name in ("sizing_rps", "need")] == [None, None]
    assert found["decision"]["reason"] == "PrometheusUnreachable"
    assert found["past"] is None
    assert found["forecast"] is None


def test_the_age_of_the_data_is_that_of_the_question_and_not_of_the_round() -> None:
    assert explained(a_story(), some_signals(5.0, age_s=3.0))["demand"]["data_age_s"] == 3.0 + LATER_S


def test_the_past_ends_with_the_last_step_and_has_its_gaps() -> None:
    story = a_story()
    for rate in (10.0, 12.0, None, 14.0):
        story.goes_on(silence() if rate is None else some_signals(rate))
    found = explained(story, some_signals(5.0))["past"]
    assert found["rates_rps"] == [pytest.approx(10.0), pytest.approx(12.0), None, pytest.approx(14.0)]
    assert found["step_s"] == STEP_S
    assert START_S % STEP_S == 0.0
    assert found["until"] == "1970-01-12T13:47:20Z", "the step that runs now is not over"


def test_the_forecast_is_told_by_horizon_with_who_leads() -> None:
    story = a_wave(a_story())
    found = explained(story, some_signals(20.0))["forecast"]
    forecast = story.memory.forecaster.forecast()
    (column,) = story.memory.find([story.model.uid])
    assert [horizon["horizon_s"] for horizon in found["horizons"]] == [STEP_S * h for h in (1, 2, 3, 5, 8, 12, 20, 60)]
    for row, horizon in enumerate(found["horizons"]):
        assert list(horizon["quantiles_rps"]) == ["0.5", "0.8", "0.9", "0.95", "0.99", "0.997"]
        told = list(horizon["quantiles_rps"].values())
        assert told == pytest.approx(forecast.quantiles_rps[:, row, column].tolist(), rel=1e-4)
        assert told == sorted(told)
        assert horizon["chance_of_any"] == pytest.approx(forecast.busy_chance[row, column])
        weights = {who["expert"]: who["weights"][row] or 0.0 for who in found["experts"]}
        assert sum(weights.values()) == pytest.approx(1.0, abs=1e-4)
        assert horizon["leader"] == max(weights, key=lambda expert: weights[expert])
    assert found["advice"]["source"] in {who["expert"] for who in found["experts"]}


def test_the_forecast_is_told_though_it_may_not_act() -> None:
    found = explained(a_wave(a_story(prediction="Off"), ticks=10), some_signals(20.0))
    assert found["prediction"] == "Off"
    assert found["forecast"]["advice"] is None
    assert found["forecast"]["horizons"][0]["quantiles_rps"]["0.5"] > 0.0


def test_costs_and_layers_are_told() -> None:
    story = a_wave(a_story())
    priced = story.look(some_signals(20.0)).lesson
    found = explained(story, some_signals(20.0))
    for name in ("lead_s", "start_s", "miss_price_s"):
        assert found["costs"][name] == pytest.approx(getattr(priced.costs, name)[0], rel=1e-5)
    (column,) = story.memory.find([story.model.uid])
    assert found["costs"]["allowed_miss_ratio"] == pytest.approx(0.05)
    assert found["costs"]["missed_ratio"] == pytest.approx(story.memory.prices.missed_ratio()[column])
    assert found["costs"]["price_factor"] == pytest.approx(story.memory.prices.factor[column], rel=1e-5)
    numbers = [layer["number"] for layer in found["layers"]]
    assert numbers == list(range(1, len(numbers) + 1))
    on = [layer["number"] for layer in found["layers"] if layer["is_on"]]
    assert on == list(range(1, found["decision"]["before"] + 1))
    assert all(layer["worth_s"] > found["costs"]["start_s"] for layer in found["layers"])


def test_starts_are_told_with_what_they_rest_on() -> None:
    story = a_story()
    story.goes_on(some_signals(5.0))
    uid = story.model.uid
    warm, cold = (Start(uid, 2.0, image_s, 50.0, is_cold_node=image_s > 5.0) for image_s in (3.0, 90.0))
    story.memory.learn_starts([warm, warm, cold, warm] * 5, {uid: 0})
    found = explained(story, some_signals(5.0))
    told = found["starts"]
    assert set(told) == {field.name for field in fields(StartSummary)}
    assert [told[f"{phase}_s"] for phase in ("scheduling", "image", "loading")] == [2.0, 3.0, 50.0]
    assert told["warm_p50_s"] < told["p50_s"] < told["expected_s"] < told["cold_p50_s"] < told["p95_s"]
    assert 0.1 < told["cold_ratio"] < 0.4
    assert told["seen"] == pytest.approx(sum(0.95**i for i in range(20)), rel=1e-5)
    assert found["costs"]["lead_s"] == told["p95_s"]
    assert found["costs"]["start_s"] == pytest.approx(told["expected_s"] + story.settings.start_energy_s, rel=1e-5)


def test_of_a_model_that_never_started_the_prior_is_told_and_no_phase() -> None:
    story = a_story()
    story.goes_on(some_signals(5.0))
    told = explained(story, some_signals(5.0))["starts"]
    assert [told[f"{phase}_s"] for phase in ("scheduling", "image", "loading")] == [None, None, None]
    assert told["seen"] == 0.0
    assert told["p50_s"] >= story.settings.cold_start_s


def explain_now(model: object, plan: Plan) -> Explanation:
    return explanation_of(model, plan, None, some_settings(), START_S)  # type: ignore[arg-type]


def test_a_model_without_a_target_is_explained_by_its_condition() -> None:
    model = a_model()
    found = explain_now(model, plan_of(a_view(model, replicas=None)))
    assert found["decision"] is None
    assert found["guards"] == []
    assert "does not exist here" in found["next"][0]


def test_a_spec_that_cannot_be_read_is_explained_by_its_fault() -> None:
    broken = Unreadable(Key("demo", "chat"), "uid", 3, Fault(Reason.SPEC_UNREADABLE, "spec.slo is missing"))
    found = explain_now(broken, plan_cycle(Snapshot((), (broken,)), a_memory(), some_settings(), START_S))
    assert found["model"] == {"namespace": "demo", "name": "chat", "generation": 3}
    assert (found["prediction"], found["decision"], found["costs"]) == (None, None, None)
    assert found["next"] == ["spec.slo is missing"]


RATES = st.one_of(st.none(), st.floats(0.0, 1e6), st.just(0.0))


@given(
    st.lists(RATES, min_size=1, max_size=12),
    st.integers(0, 6),
    st.sampled_from(["Off", "Recommend", "Enforce"]),
    st.sampled_from(["Recommend", "Enforce", "Paused"]),
)
def test_whatever_happens_it_is_json_and_the_last_guard_left_the_decision(
    rates: list[float | None], replicas: int, prediction: str, mode: str
) -> None:
    story = a_story(replicas=replicas, prediction=prediction, mode=mode)
    *past, last = [silence() if rate is None else some_signals(rate) for rate in rates]
    for signals in past:
        story.goes_on(signals)
    found = explained(story, last)
    assert found["guards"][-1]["replicas"] == found["decision"]["after"]
    assert found["guards"][-1]["reason"] == found["decision"]["reason"]
    assert found["next"], "there is always something that would change it"


def test_two_models_are_not_mixed_up() -> None:
    """The one asked about is neither the first nor the last of the fleet."""
    models = [a_model(name) for name in ("a", "b", "c")]
    story = Story(model=models[1], memory=a_memory(step_s=STEP_S))
    plan = plan_of(a_view(models[0]))
    for _ in range(5):
        views = (a_view(model, replicas=i + 1, signals=some_signals(5.0 * i)) for i, model in enumerate(models))
        plan = plan_cycle(Snapshot(tuple(views)), story.memory, story.settings, story.now_s)
        story.memory.history.record(plan.observation, story.now_s)
        story.memory.learn(plan.lesson, story.now_s)
        story.now_s += STEP_S
    found = explanation_of(models[1], plan, recalled(story, plan), story.settings, story.now_s)
    assert found["model"]["name"] == "b"
    assert found["decision"]["before"] == 2
    assert found["demand"]["arrivals_rps"] == 5.0
    assert found["past"]["rates_rps"] == pytest.approx([5.0] * 4, rel=1e-5)
    assert [layer["number"] for layer in found["layers"] if layer["is_on"]] == [1, 2]
