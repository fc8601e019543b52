"""The parser and the CRD say the same, and what cannot be read is refused with the field and the mend."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from builders import a_body, a_model, a_spec, a_template, an_owned_model, an_owned_spec
from lull import names
from lull.decide.facts import DOWN_TOLERANCE, DOWN_WINDOW_S
from lull.errors import SpecError
from lull.model.plan import ConditionStatus
from lull.model.route import HoldState, Route
from lull.model.spec import (
    LEAST_COLD_SHARE,
    TOKEN_RUNTIMES,
    InferenceDeployment,
    Key,
    Metric,
    Number,
    Percentile,
    Role,
    Runtime,
    ScaleTarget,
    Seconds,
    SleepMode,
    Spec,
    parse,
)
from lull.settings import Mode, parse_duration_s

ROOT = Path(__file__).parents[2]
CRD = yaml.safe_load((ROOT / "crds" / "inferencedeployments.yaml").read_text())
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC, STATUS = SCHEMA["properties"]["spec"], SCHEMA["properties"]["status"]
EXAMPLES = sorted((ROOT / "e2e" / "examples").glob("*.yaml"))

# What everybody knows from Kubernetes is not explained again.
NEEDS_NO_WORDS = {
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "spec",
    "spec.template.metadata",
    "spec.template.metadata.labels",
    "spec.template.metadata.annotations",
    "spec.template.spec.containers",
    "spec.template.spec.containers.name",
    "spec.template.spec.containers.image",
    "status.conditions.type",
    "status.conditions.status",
    "status.conditions.reason",
    "status.conditions.message",
    "status.conditions.observedGeneration",
    "status.conditions.lastTransitionTime",
}


def properties_of(node: dict[str, Any], at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in node.get("properties", {}).items():
        yield f"{at}{name}", child
        yield from properties_of(child, f"{at}{name}.")
        yield from properties_of(child.get("items", {}), f"{at}{name}.")


PROPERTIES = dict(properties_of(SCHEMA))


def bare(kind: Any) -> Any:
    """The type without ``None``."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        (only,) = (arm for arm in typing.get_args(kind) if arm is not type(None))
        return only
    return kind


def pairs(schema: dict[str, Any], struct: Any, at: str = "spec") -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every place where a struct stands for an object of the CRD."""
    yield at, schema, struct
    for field in msgspec.structs.fields(struct):
        child, kind = schema["properties"].get(field.encode_name, {}), bare(field.type)
        if typing.get_origin(kind) is tuple:
            child, kind = child.get("items", {}), typing.get_args(kind)[0]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from pairs(child, kind, f"{at}.{field.encode_name}")


PAIRS = list(pairs(SPEC, Spec))


def fields_of(struct: Any) -> list[msgspec.structs.FieldInfo]:
    return list(msgspec.structs.fields(struct))


# The CRD by itself.


def test_names_are_those_of_the_crd() -> None:
    assert CRD["spec"]["group"] == names.GROUP
    assert VERSION["name"] == names.VERSION
    assert CRD["spec"]["names"]["kind"] == names.KIND
    assert CRD["spec"]["names"]["plural"] == names.PLURAL
    assert CRD["metadata"]["name"] == f"{names.PLURAL}.{names.GROUP}"


@pytest.mark.parametrize("path", PROPERTIES)
def test_every_property_explains_itself(path: str) -> None:
    has_words = bool(PROPERTIES[path].get("description", "").strip().endswith("."))
    assert has_words != (path in NEEDS_NO_WORDS)


def test_every_rule_between_fields_has_a_message_that_names_a_field() -> None:
    nodes = [SPEC, *PROPERTIES.values()]
    rules = [rule for node in nodes for rule in node.get("x-kubernetes-validations", ())]
    assert rules
    for rule in rules:
        assert rule["message"]
        assert any(path.rpartition(".")[2] in rule["message"] for path in PROPERTIES), rule


def test_every_printed_column_exists_in_the_schema() -> None:
    for column in VERSION["additionalPrinterColumns"]:
        path = column["jsonPath"].removeprefix(".").partition("[")[0]
        assert path in PROPERTIES or path == "metadata.creationTimestamp"


# The CRD and the parser.


@pytest.mark.parametrize(("at", "schema", "struct"), PAIRS, ids=[at for at, _, _ in PAIRS])
def test_fields_are_the_same(at: str, schema: dict[str, Any], struct: Any) -> None:
    assert {field.encode_name for field in fields_of(struct)} == set(schema["properties"]), at


@pytest.mark.parametrize(("at", "schema", "struct"), PAIRS, ids=[at for at, _, _ in PAIRS])
def test_required_fields_are_the_same(at: str, schema: dict[str, Any], struct: Any) -> None:
    assert {field.encode_name for field in fields_of(struct) if field.required} == set(schema.get("required", ())), at


LEAVES = [
    pytest.param(schema["properties"][field.encode_name], field, id=f"{at}.{field.encode_name}")
    for at, schema, struct in PAIRS
    for field in fields_of(struct)
    if field.encode_name in schema["properties"]
]


@pytest.mark.parametrize(("schema", "field"), LEAVES)
def test_types_are_the_same(schema: dict[str, Any], field: msgspec.structs.FieldInfo) -> None:
    kind = bare(field.type)
    if kind is Number:
        assert schema["x-kubernetes-int-or-string"] is True
        assert "type" not in schema
        return
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        expected = "object"
    else:
        origin = typing.get_origin(kind) or kind
        by_type = {
            int: "integer",
            bool: "boolean",
            str: "string",
            dict: "object",
            tuple: "array",
            Seconds: "string",
            Percentile: "string",
        }
        expected = "string" if issubclass(origin, StrEnum) else by_type[origin]
    assert schema["type"] == expected


@pytest.mark.parametrize(("schema", "field"), LEAVES)
def test_closed_sets_are_the_same(schema: dict[str, Any], field: msgspec.structs.FieldInfo) -> None:
    kind = bare(field.type)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        assert list(schema["enum"]) == [str(member) for member in kind]
    elif "enum" in schema:
        assert field.encode_name == "type", "make it a StrEnum"


@pytest.mark.parametrize(("schema", "field"), LEAVES)
def test_defaults_are_the_same(schema: dict[str, Any], field: msgspec.structs.FieldInfo) -> None:
    if isinstance(field.default, Seconds):
        assert parse_duration_s(schema["default"]) == field.default
        return
    if isinstance(field.default, Number):
        assert float(schema["default"]) == field.default
        return
    is_plain = isinstance(field.default, str | int)
    assert schema.get("default") == (field.default if is_plain else None)


@pytest.mark.parametrize("direction", ["scaleUp", "scaleDown"])
def test_defaults_that_the_text_promises_are_kept(direction: str) -> None:
    """They differ by direction, so the schema cannot hold them."""
    rules = SPEC["properties"]["behavior"]["properties"][direction]["properties"]
    assert f"{DOWN_WINDOW_S} for scaleDown" in rules["stabilizationWindowSeconds"]["description"]
    assert f"{DOWN_TOLERANCE:g} for scaleDown" in rules["tolerance"]["description"]


def test_modes_and_roles_are_those_of_the_crd() -> None:
    assert SPEC["properties"]["mode"]["enum"] == [str(mode) for mode in Mode]
    ports = SPEC["properties"]["server"]["properties"]["ports"]["items"]
    assert ports["properties"]["role"]["enum"] == [str(role) for role in Role]


def test_condition_statuses_are_those_of_the_crd() -> None:
    conditions = STATUS["properties"]["conditions"]["items"]
    assert conditions["properties"]["status"]["enum"] == [str(status) for status in ConditionStatus]


# Examples.


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_read(path: Path) -> None:
    bodies = [body for body in yaml.safe_load_all(path.read_text()) if body["kind"] == names.KIND]
    for body in bodies:
        body["metadata"] |= {"uid": "uid", "creationTimestamp": "2026-01-01T00:00:00Z"}
        parse(body)
        jsonschema.Draft7Validator(SCHEMA).validate(body)


def test_there_are_examples() -> None:
    assert {"digits.yaml", "embed.yaml"} <= {path.name for path in EXAMPLES}


# Reading.


def test_an_object_is_who_it_is() -> None:
    model = parse(a_body("chat", "demo", uid="uid-1", generation=7, created="2026-01-01T00:00:00Z"))
    assert (model.key, model.uid, model.generation) == (Key("demo", "chat"), "uid-1", 7)
    assert model.created_at_s == 1767225600.0


def test_what_newer_versions_add_is_ignored() -> None:
    """An older operator must go on with a newer CRD."""
    assert parse(a_body(spec=a_spec(consolidation={"mode": "Enforce"}))).spec == a_model().spec


def test_a_template_is_kept_as_it_is() -> None:
    template = a_template(nodeSelector={"gpu": "yes"}, tolerations=[{"operator": "Exists"}])
    assert an_owned_model(template=template).spec.template == template


def test_a_template_makes_an_owner_of_a_deployment_of_its_name() -> None:
    model = an_owned_model()
    assert model.is_owner
    assert (model.target.kind, model.target.name, model.target.api_version) == ("Deployment", "chat", "apps/v1")


def test_a_reference_makes_an_adopter() -> None:
    model = a_model(scaleTargetRef={"kind": "StatefulSet", "name": "rank"})
    assert not model.is_owner
    assert model.target == ScaleTarget(kind="StatefulSet", name="rank", api_version="apps/v1")
    assert str(model.target) == "StatefulSet/rank"


@pytest.mark.parametrize(("percentile", "miss"), [("50", 0.5), ("95", 0.05), ("99.5", 0.005), ("99.999", 0.00001)])
def test_the_percentile_is_the_share_that_may_miss(percentile: str, miss: float) -> None:
    objectives = [{"metric": "Latency", "percentile": percentile, "threshold": "1s"}]
    (objective,) = a_model(slo={"objectives": objectives}).spec.slo.objectives
    assert objective.miss_ratio == pytest.approx(miss)


@pytest.mark.parametrize(("written", "value"), [(40, 40.0), ("40", 40.0), ("2.5", 2.5), ("0.001", 0.001)])
def test_rates_are_whole_or_written(written: int | str, value: float) -> None:
    assert a_model(capacity={"requestsPerSecond": written}).spec.capacity.requests_per_second == value


@pytest.mark.parametrize("capacity", [None, {}])
def test_a_capacity_may_be_left_to_be_learned(capacity: dict[str, Any] | None) -> None:
    assert not a_model(capacity=capacity).spec.capacity.is_stated
    assert a_model().spec.capacity.is_stated


THRESHOLD = SPEC["properties"]["slo"]["properties"]["objectives"]["items"]["properties"]["threshold"]["pattern"]
PERCENTILE = SPEC["properties"]["slo"]["properties"]["objectives"]["items"]["properties"]["percentile"]["pattern"]


@given(st.from_regex(THRESHOLD, fullmatch=True), st.from_regex(PERCENTILE, fullmatch=True))
def test_what_the_patterns_of_the_crd_let_pass_is_read(threshold: str, percentile: str) -> None:
    # the API server refuses a threshold of nothing by a rule of its own, and a final newline by RE2's idea of $
    objectives = [{"metric": "Latency", "percentile": percentile.strip(), "threshold": f"1ms{threshold.strip()}"}]
    (objective,) = parse(a_body(spec=a_spec(slo={"objectives": objectives}))).spec.slo.objectives
    assert objective.threshold >= 0.001
    assert 0.0 < objective.miss_ratio <= 0.5


# Sleep.


def test_zero_is_opt_in_and_a_request_waits_a_minute() -> None:
    sleep = a_model().spec.scale_to_zero
    assert (sleep.mode, sleep.idle, sleep.hold_timeout, sleep.max_held) == (SleepMode.OFF, None, 60.0, 1000)
    assert (sleep.ignore.paths, sleep.ignore.user_agents, sleep.allow_long_start) == (None, None, False)


@pytest.mark.parametrize(
    ("mode", "asked", "done"),
    [
        ("Enforce", "Enforce", "Enforce"),
        ("Enforce", "Recommend", "Recommend"),
        ("Recommend", "Enforce", "Recommend"),
        ("Off", "Enforce", "Off"),
        ("Enforce", "Off", "Off"),
    ],
)
def test_sleep_in_the_pod_goes_no_further_than_sleep(mode: str, asked: str, done: str) -> None:
    server = {"runtime": "vllm", "modelName": "m"}
    assert a_model(server=server, scaleToZero={"mode": mode, "doze": asked}).doze == done


def test_what_is_ignored_is_told_apart_from_what_is_not_said() -> None:
    """An empty list says that everything wakes; an absent one leaves it to Lull."""
    ignore = a_model(scaleToZero={"ignore": {"paths": [], "userAgents": ["curl/*"]}}).spec.scale_to_zero.ignore
    assert (ignore.paths, ignore.user_agents) == ((), ("curl/*",))


@pytest.mark.parametrize(("idle", "hold", "seconds"), [("10s", "1s", (10, 1)), ("168h", "15m", (604_800, 900))])
def test_sleep_is_read_up_to_its_bounds(idle: str, hold: str, seconds: tuple[float, float]) -> None:
    sleep = a_model(scaleToZero={"idle": idle, "holdTimeout": hold}).spec.scale_to_zero
    assert (sleep.idle, sleep.hold_timeout) == seconds


@pytest.mark.parametrize(
    ("model", "service"),
    [
        pytest.param(an_owned_model(), "chat", id="owned"),
        pytest.param(an_owned_model(serviceRef={"name": "front"}), "front", id="owned, behind another Service"),
        pytest.param(a_model(), None, id="adopted"),
        pytest.param(a_model(serviceRef={"name": "front"}), "front", id="adopted with a Service"),
    ],
)
def test_the_service_that_clients_call(model: InferenceDeployment, service: str | None) -> None:
    assert model.service_name == service


def test_routes_and_states_of_a_hold_are_those_of_the_crd() -> None:
    assert STATUS["properties"]["route"]["enum"] == [str(route) for route in (Route.OWN, Route.HOLD)]
    assert STATUS["properties"]["hold"]["properties"]["state"]["enum"] == [str(state) for state in HoldState]


OBJECTIVE = {"metric": "Latency", "percentile": "95", "threshold": "1s"}


@pytest.mark.parametrize("runtime", sorted(TOKEN_RUNTIMES))
@pytest.mark.parametrize("metric", list(Metric))
def test_servers_of_tokens_have_every_objective(runtime: Runtime, metric: Metric) -> None:
    model = a_model(
        server={"runtime": str(runtime), "modelName": "x"}, slo={"objectives": [OBJECTIVE | {"metric": str(metric)}]}
    )
    (objective,) = model.spec.slo.objectives
    assert (model.spec.server.runtime, objective.metric) == (runtime, metric)


def test_the_crd_and_the_parser_mean_the_same_servers_of_tokens() -> None:
    rules = [rule["rule"] for rule in SPEC["x-kubernetes-validations"] if "objectives" in rule["rule"]]
    (listed,) = (re.findall(r"self\.server\.runtime in \[(.*?)\]", rule) for rule in rules)
    assert {name.strip(" '") for name in listed[0].split(",")} == {str(runtime) for runtime in TOKEN_RUNTIMES}
    assert f"o.metric == '{Metric.LATENCY}'" in rules[0]


def sloppy(**changes: str) -> dict[str, Any]:
    return a_spec(slo={"objectives": [OBJECTIVE | changes]})


def sharing(share: object) -> dict[str, Any]:
    return a_spec(slo={"objectives": [OBJECTIVE], "coldStartShare": share})


@pytest.mark.parametrize(("told", "share"), [("0.05", 0.05), (".2", 0.2), (1, 1.0), ("0.0001", LEAST_COLD_SHARE)])
def test_a_share_may_wait_for_a_wake(told: object, share: float) -> None:
    assert parse(a_body(spec=sharing(told))).spec.slo.cold_start_share == share


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        pytest.param({}, "server", id="nothing"),
        pytest.param(a_spec(server=None), "server", id="no server"),
        pytest.param(a_spec(maxReplicas=None), "maxReplicas", id="no maximum"),
        pytest.param(a_spec(maxReplicas="ten"), "maxReplicas", id="a word for a number"),
        pytest.param(a_spec(mode="Dream"), "mode", id="an unknown mode"),
        pytest.param(a_spec(server={"runtime": "llamacpp", "modelName": "x"}), "runtime", id="an unknown runtime"),
        pytest.param(sloppy(threshold="fast"), "write a duration such as", id="a threshold in words"),
        pytest.param(sloppy(threshold="800"), "threshold", id="a threshold without a unit"),
        pytest.param(sloppy(threshold="0s"), "threshold", id="a threshold of nothing"),
        pytest.param(sloppy(percentile="100"), "percentile", id="a percentile of everything"),
        pytest.param(sloppy(percentile="49"), "percentile", id="a percentile below the median"),
        pytest.param(sloppy(percentile="most"), "percentile", id="a percentile in words"),
        pytest.param(a_spec(slo={"objectives": []}), "objectives", id="no objectives"),
        pytest.param(sharing(0), "slo.coldStartShare", id="nobody may wait for a wake"),
        pytest.param(sharing("1.5"), "slo.coldStartShare", id="more than all may"),
        pytest.param(sharing("few"), "coldStartShare", id="a share in words"),
        pytest.param(sloppy(metric="Throughput"), "metric", id="an unknown objective"),
        pytest.param(sloppy(metric="TimeToFirstToken"), "vllm or sglang", id="a first token of a server without any"),
        pytest.param(sloppy(metric="InterTokenLatency"), "vllm or sglang", id="tokens of a server without any"),
        pytest.param(a_spec(capacity={"requestsPerSecond": 1, "concurrency": 1}), "at most one", id="two capacities"),
        pytest.param(a_spec(capacity={"requestsPerSecond": 0}), "capacity", id="a capacity of nothing"),
        pytest.param(a_spec(capacity={"requestsPerSecond": "-1"}), "capacity", id="a capacity below nothing"),
        pytest.param(a_spec(capacity={"requestsPerSecond": "nan"}), "capacity", id="a capacity that is no number"),
        pytest.param(a_spec(capacity={"requestsPerSecond": "inf"}), "capacity", id="a capacity without end"),
        pytest.param(a_spec(capacity={"requestsPerSecond": 2.5}), "capacity", id="a float"),
        pytest.param(a_spec(capacity={"concurrency": 0}), "capacity", id="a concurrency of nothing"),
        pytest.param(a_spec(minReplicas=3, maxReplicas=2), "minReplicas", id="bounds turned around"),
        pytest.param(a_spec(minReplicas=0), "minReplicas", id="a minimum of nothing"),
        pytest.param(a_spec(scaleToZero={"mode": "Auto"}), "mode", id="an unknown way to sleep"),
        pytest.param(a_spec(scaleToZero={"doze": "Enforce"}), "doze", id="asleep in the pod of a server that cannot"),
        pytest.param(a_spec(scaleToZero={"idle": "5s"}), "scaleToZero.idle", id="asleep in no time"),
        pytest.param(a_spec(scaleToZero={"idle": "200h"}), "scaleToZero.idle", id="idle for weeks"),
        pytest.param(a_spec(scaleToZero={"holdTimeout": "0s"}), "scaleToZero.holdTimeout", id="held for no time"),
        pytest.param(a_spec(scaleToZero={"holdTimeout": "16m"}), "scaleToZero.holdTimeout", id="held for too long"),
        pytest.param(a_spec(scaleToZero={"maxHeld": 0}), "maxHeld", id="nobody held"),
        pytest.param(a_spec(scaleTargetRef=None), "template and scaleTargetRef", id="no target"),
        pytest.param(a_spec(template=a_template()), "template and scaleTargetRef", id="two targets"),
        pytest.param(a_spec(server={"runtime": "generic"}), "queries", id="generic without queries"),
        pytest.param(
            a_spec(server={"runtime": "generic", "queries": {"requestsPerSecond": "x"}}, capacity={"concurrency": 4}),
            "spec.capacity.requestsPerSecond is required",
            id="generic with a concurrency",
        ),
        pytest.param(
            a_spec(server={"runtime": "generic", "queries": {"requestsPerSecond": "x"}}, capacity=None),
            "spec.capacity.requestsPerSecond is required",
            id="generic without a capacity",
        ),
        pytest.param(a_spec(server={"runtime": "triton"}), "modelName", id="triton without a model"),
        pytest.param(a_spec(server={"runtime": "sglang"}), "modelName", id="sglang without a model"),
        pytest.param(
            a_spec(behavior={"scaleDown": {"selectPolicy": "Sometimes"}}), "selectPolicy", id="an unknown select policy"
        ),
        pytest.param(a_spec(behavior={"scaleUp": {"tolerance": "little"}}), "tolerance", id="a tolerance in words"),
        pytest.param(an_owned_spec(template="chat"), "template", id="a template that is none"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_field_and_the_mend(spec: dict[str, Any], says: str) -> None:
    """The API server refuses all of it by our CRD, so the CRD of that cluster is an older one."""
    with pytest.raises(SpecError) as refused:
        parse(a_body(spec=spec))
    assert says in str(refused.value)
    assert "apply crds/ again" in str(refused.value)
