"""The past of models as a Prometheus tells it over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest

from builders import a_model
from loopback import Reply, Request, failure, serve, success
from lull.adapters.past import read_past, told_apart
from lull.adapters.prometheus import Prometheus
from lull.errors import BadAnswer
from lull.model.arrays import F64
from lull.model.spec import InferenceDeployment

STEP_S, START_S = 60.0, 1_700_000_040.0
CHAT = {"namespace": "demo", "model": "chat"}


def matrix(*series: tuple[Mapping[str, str], Mapping[float, str]], **more: object) -> Reply:
    """Series by the start of the step that each value is of; Prometheus dates it at the step's end."""
    return success(
        "matrix",
        [
            {"metric": dict(of), "values": [[at_s + STEP_S, value] for at_s, value in tell.items()]}
            for of, tell in series
        ],
        **more,
    )


def steps(*values: str, start_s: float = START_S) -> dict[float, str]:
    return {start_s + i * STEP_S: value for i, value in enumerate(values)}


def past_of(
    *models: InferenceDeployment,
    own: Reply | None = None,
    servers: Reply | None = None,
    count: int = 4,
    apart: bool = True,
    asked: list[Request] | None = None,
    unanswered: int = 0,
) -> dict[str, F64]:
    def answer(request: Request) -> Reply:
        if asked is not None:
            asked.append(request)
        told = own if "lull_model" in request.query["query"] else servers
        return told or matrix()

    with serve(answer) as peer:
        prometheus = Prometheus(peer.url, 5.0)
        end_s = START_S + (count - 1) * STEP_S
        alone = told_apart(models) if apart else set()
        try:
            past, failures = asyncio.run(read_past(prometheus, models, alone, START_S, end_s, STEP_S))
            assert len(failures) == unanswered
            return past
        finally:
            prometheus.close()


def test_the_servers_tell_completions_and_what_nobody_told_is_unknown() -> None:
    told = matrix((CHAT, steps("1", "2") | {START_S + 3 * STEP_S: "4"}))
    np.testing.assert_equal(past_of(a_model(), servers=told)["uid-demo-chat"], [1.0, 2.0, np.nan, 4.0])


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"namespace": "demo", "name": "chat"}, id="honoured labels"),
        pytest.param({"namespace": "lull-system", "exported_namespace": "demo", "name": "chat"}, id="exported"),
    ],
)
def test_what_lull_itself_recorded_counts_more_than_what_the_servers_tell(labels: Mapping[str, str]) -> None:
    own, servers = matrix((labels, steps("10", "20"))), matrix((CHAT, steps("1", "2", "3")))
    np.testing.assert_equal(past_of(a_model(), own=own, servers=servers)["uid-demo-chat"], [10.0, 20.0, 3.0, np.nan])


def test_series_of_another_model_or_namespace_are_nobodys() -> None:
    told = matrix((CHAT | {"namespace": "other"}, steps("1")), (CHAT | {"model": "embed"}, steps("2")))
    assert np.isnan(past_of(a_model(), servers=told)["uid-demo-chat"]).all()


def test_two_models_of_one_name_cannot_be_told_apart_by_their_servers() -> None:
    both = [a_model("one"), a_model("two")]
    assert told_apart(both) == set()
    told = matrix((CHAT, steps("1", "2")))
    assert all(np.isnan(rates).all() for rates in past_of(*both, servers=told).values())


def test_values_that_are_no_numbers_are_unknown() -> None:
    told = matrix((CHAT, steps("1", "NaN", "+Inf", "2")))
    np.testing.assert_equal(past_of(a_model(), servers=told)["uid-demo-chat"], [1.0, np.nan, np.nan, 2.0])


def test_two_weeks_are_asked_for_in_pieces_that_prometheus_allows() -> None:
    asked: list[Request] = []
    count = 14 * 1440
    late_s = START_S + (count - 1) * STEP_S
    told = matrix((CHAT, {late_s: "7"}))
    past = past_of(a_model(), servers=told, count=count, asked=asked)["uid-demo-chat"]
    spans = [(float(r.query["start"]), float(r.query["end"])) for r in asked if "lull_model" not in r.query["query"]]
    assert past[-1] == 7.0
    assert np.isnan(past[:-1]).all()
    assert all((end_s - start_s) / STEP_S < 11_000 for start_s, end_s in spans)
    assert spans[0][0] == START_S + STEP_S
    assert spans[-1][1] == late_s + STEP_S
    assert all(later[0] - earlier[1] == STEP_S for earlier, later in pairwise(spans))


def test_half_an_answer_is_better_than_none() -> None:
    past = past_of(a_model(), own=failure(422, "too many samples"), servers=matrix((CHAT, steps("1"))), unanswered=1)
    assert past["uid-demo-chat"][0] == 1.0


def test_no_answer_at_all_is_an_error() -> None:
    with pytest.raises(BadAnswer, match="too many samples"):
        past_of(a_model(), own=failure(422, "too many samples"), servers=failure(422, "too many samples"))


def test_a_partial_answer_is_not_learned_as_silence() -> None:
    told = matrix((CHAT, steps("1")), warnings=["store gone"])
    assert np.isnan(past_of(a_model(), own=matrix(), servers=told, unanswered=1)["uid-demo-chat"]).all()
