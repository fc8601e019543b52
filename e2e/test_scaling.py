"""The main job: load rises and falls, replicas follow, nobody is lost."""

from __future__ import annotations

import json
import re
from typing import Any

from eventually import eventually
from kube import apply, events, get, kubectl, leader_metrics, operator_logs, replicas, starts_s, status
from load import Target, finish, level, ramp, start
from models import a_model

SLO_S = 0.4

NOTICED_S = 25.0
"""Rate window, p95 window and some rounds of the operator: until a rise is known, and until the last late request has
left the figure."""


def test_replicas_follow_the_load_and_no_request_is_lost(namespace: str) -> None:
    """From 5 requests a second to 80 within half a minute and back: more replicas before the objective is missed for
    long, fewer when the load is gone, every request answered on its one connection.
    """
    apply(a_model("embed", namespace, behavior={"scaleDown": {"stabilizationWindowSeconds": 20}}))
    eventually(lambda: status("embed", namespace).get("replicas", {}).get("ready"), within_s=90)

    start(namespace, Target("embed", "embed", [*level(5, 15), *ramp(5, 80, 30), *level(80, 45), *level(3, 60)]))
    grown = eventually(lambda: replicas("embed", namespace), lambda n: n >= 3, within_s=90)
    start_s = eventually(lambda: starts_s(namespace), lambda known: len(known) >= 3, within_s=60)
    outcome = finish(namespace, within_s=240)

    assert grown >= 3
    assert outcome.requests > 3500
    assert outcome.lost == 0, outcome.summary["total"]
    # Nobody can be faster than a pod starts, and that depends on what else the machine does: it is measured in the run.
    assert outcome.slow_s("embed", SLO_S) <= NOTICED_S + max(start_s)
    eventually(lambda: replicas("embed", namespace), lambda n: n == 1, within_s=60)


def _cells(table: str) -> dict[str, str]:
    """Cells of a table's one row by the heading they stand under; a cell may be empty."""
    heading, row = table.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", heading)]
    return {
        heading[start:end].strip(): row[start:end].strip()
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    }


def _three_looks(namespace: str) -> tuple[dict[str, Any], dict[str, str], str, dict[str, Any]]:
    """Status, row and description, with the status again: only where it did not change meanwhile can they agree."""
    before = status("told", namespace)
    row = _cells(kubectl("-n", namespace, "get", "infd", "told"))
    described = kubectl("-n", namespace, "describe", "infd", "told")
    return before, row, described, status("told", namespace)


def test_status_events_metrics_and_logs_tell_the_same_story(namespace: str) -> None:
    """The reason of a change is one word wherever it is told, and each change is told once."""
    apply(a_model("embed", namespace, name="told", behavior={"scaleDown": {"stabilizationWindowSeconds": 120}}))
    eventually(lambda: status("told", namespace).get("replicas", {}).get("ready"), within_s=90)
    start(namespace, Target("embed", "told", level(60, 40)))
    eventually(lambda: replicas("told", namespace), lambda n: n >= 2, within_s=60)
    outcome = finish(namespace, within_s=120)

    assert outcome.lost == 0
    eventually(lambda: status("told", namespace)["decision"]["reason"], lambda word: word == "Stabilizing", within_s=30)
    seen, row, described = eventually(lambda: _three_looks(namespace), lambda looks: looks[0] == looks[3], within_s=30)[
        :3
    ]
    metrics = leader_metrics()
    changes = [event for event in events("told", namespace) if event["reason"] == "DemandRise"]
    since = get("infd", "told", namespace)["metadata"]["creationTimestamp"].rstrip("Z")
    told = [json.loads(line) for line in operator_logs(2000).splitlines() if '"lull.decision"' in line]
    # An earlier run on the same cluster may have told of a model of the same name.
    lines = [line for line in told if line["model"] == "told" and line["at"] >= since]

    assert (row["READY"], row["MODE"]) == ("True", "Enforce")
    assert (row["HAVE"], row["WANT"]) == (str(seen["replicas"]["current"]), str(seen["replicas"]["desired"]))
    assert row["REASON"] == seen["decision"]["reason"]
    assert seen["decision"]["message"] in described
    assert f'lull_model_reason{{name="told",namespace="{namespace}",reason="Stabilizing"}} 1.0' in metrics
    assert f'lull_model_replicas_desired{{name="told",namespace="{namespace}"}}' in metrics
    assert changes, "a scale-out is told as an Event"
    assert len(changes) == len(lines), "one log line and one Event for each change"
    assert {event["message"] for event in changes} == {line["message"] for line in lines}
    total = f'lull_decisions_total{{name="told",namespace="{namespace}",reason="DemandRise"}} {float(len(changes))}'
    assert total in metrics
