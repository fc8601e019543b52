"""The parser and the CRD of EnergyBudget say the same, and what cannot be read is refused with the field."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import msgspec
import pytest
import yaml
from cel_expr_python import cel
from hypothesis import given
from hypothesis import strategies as st

from budgets import MONDAY_S, a_budget, a_budget_body, a_budget_spec
from builders import a_body, a_model
from lull import names
from lull.errors import SpecError
from lull.model.budget import BudgetSpec, Enforcement, Limit, Measure, Ratio, parse_budget
from lull.model.period import CalendarPeriod, RollingPeriod
from lull.model.spec import parse

CRD = yaml.safe_load((Path(__file__).parents[2] / "crds" / "energybudgets.yaml").read_text())
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]
NEEDS_NO_WORDS = {
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    *(f"status.conditions.{name}" for name in ("type", "status", "reason", "message", "observedGeneration")),
    "status.conditions.lastTransitionTime",
}


def properties_of(node: dict[str, Any], at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in node.get("properties", {}).items():
        yield f"{at}{name}", child
        yield from properties_of(child, f"{at}{name}.")
        yield from properties_of(child.get("items", {}), f"{at}{name}.")


PROPERTIES = dict(properties_of(SCHEMA))


def bare(kind: Any) -> Any:
    arms = [arm for arm in typing.get_args(kind) if arm is not type(None)]
    return arms[0] if type(None) in typing.get_args(kind) else kind


def pairs(schema: dict[str, Any], struct: Any, at: str = "spec") -> Iterator[tuple[str, dict[str, Any], Any]]:
    yield at, schema, struct
    for field in msgspec.structs.fields(struct):
        child, kind = schema["properties"].get(field.encode_name, {}), bare(field.type)
        if typing.get_origin(kind) is tuple:
            child, kind = child.get("items", {}), typing.get_args(kind)[0]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from pairs(child, kind, f"{at}.{field.encode_name}")


PAIRS = list(pairs(SPEC, BudgetSpec))


# The CRD by itself.


def test_names_are_those_of_the_crd() -> None:
    assert (CRD["spec"]["group"], VERSION["name"]) == (names.GROUP, names.VERSION)
    assert (CRD["spec"]["names"]["kind"], CRD["spec"]["names"]["plural"]) == (names.BUDGET_KIND, names.BUDGET_PLURAL)
    assert CRD["metadata"]["name"] == f"{names.BUDGET_PLURAL}.{names.GROUP}"
    assert CRD["spec"]["scope"] == "Cluster"


@pytest.mark.parametrize("path", PROPERTIES)
def test_every_property_explains_itself(path: str) -> None:
    has_words = bool(PROPERTIES[path].get("description", "").strip().endswith("."))
    assert has_words != (path in NEEDS_NO_WORDS)


def test_every_printed_column_exists_in_the_schema() -> None:
    for column in VERSION["additionalPrinterColumns"]:
        path = column["jsonPath"].removeprefix(".").partition("[")[0]
        assert path in PROPERTIES or path == "metadata.creationTimestamp"


@pytest.mark.parametrize(("at", "schema", "struct"), PAIRS, ids=[at for at, _, _ in PAIRS])
def test_fields_bounds_and_defaults_are_the_same(at: str, schema: dict[str, Any], struct: Any) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    assert set(fields) == set(schema["properties"]), at
    assert {name for name, field in fields.items() if field.required} == set(schema.get("required", ()))
    for name, field in fields.items():
        child, kind = schema["properties"][name], bare(field.type)
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            assert child["enum"] == [str(member) for member in kind]
        if isinstance(field.default, Ratio):
            assert float(child["default"]) == field.default
        elif isinstance(field.default, str | int):
            assert child["default"] == field.default


def test_the_measures_of_the_crd_are_those_there_are() -> None:
    measures = SPEC["properties"]["measures"]
    assert measures["items"]["enum"] == measures["default"] == [str(measure) for measure in Measure]
    assert a_budget().spec.measures == tuple(Measure)


# What the API server refuses, by the schema and by CEL's own implementation.

ENV = cel.NewEnv(variables={"self": cel.Type.DYN})


def refusals(schema: dict[str, Any], value: Any, at: str = "spec") -> list[str]:
    """Messages of the rules that do not hold, after defaults were put in; a rule that fails to run does not hold."""
    told = []
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name in value:
                told += refusals(child, value[name], f"{at}.{name}")
    for rule in schema.get("x-kubernetes-validations", ()):
        found = ENV.compile(with_times(rule["rule"], schema)).eval(data={"self": value}).value()
        if not isinstance(found, bool):
            told.append(f"{rule['rule']} failed: {found}")
        elif not found:
            told.append(rule["message"])
    return told


def with_times(rule: str, schema: dict[str, Any]) -> str:
    """The API server hands date-times to CEL as timestamps, and this library none at all."""
    for name, child in schema.get("properties", {}).items():
        if child.get("format") == "date-time":
            rule = rule.replace(f"self.{name}", f"timestamp(self.{name})")
    return rule


def is_taken(spec: dict[str, Any]) -> bool:
    """Whether the API server takes it; defaults stand in the schema and no rule rests on one."""
    return jsonschema.Draft7Validator(SPEC).is_valid(spec) and not refusals(SPEC, spec)


BREAK = {"by": "ann@example.org", "since": "2026-01-05T08:00:00Z", "until": "2026-01-05T20:00:00+00:00"}

GOOD = {
    "a day's energy": a_budget_spec(),
    "rolling": a_budget_spec(period={"rolling": "10m"}),
    "power alone": {"limits": {"power": "4.5kW"}},
    "all limits": a_budget_spec(limits={"energy": "1MWh", "power": "800W", "carbon": "3.5kg", "cost": "12.50"}),
    "a zone": a_budget_spec(period={"calendar": "Month", "timeZone": "America/Argentina/Buenos_Aires"}),
    "namespaces": a_budget_spec(selector={"namespaces": [{"name": "a", "weight": 2}, {"name": "b"}]}),
    "labels": a_budget_spec(selector={"matchLabels": {"lull.dev/tier": "gold"}}),
    "one measure": a_budget_spec(measures=["Sleep"]),
    "a share": a_budget_spec(minMeasuredShare=".85", reserve="0.95"),
    "broken glass": a_budget_spec(breakGlass=BREAK | {"why": "an incident"}),
}

BAD = {
    "nothing": {},
    "no limit": a_budget_spec(limits={}),
    "energy without a period": a_budget_spec(period=None),
    "a period without an amount": a_budget_spec(limits={"power": "1kW"}),
    "two periods": a_budget_spec(period={"calendar": "Day", "rolling": "24h"}),
    "no period named": a_budget_spec(period={}),
    "a zone of a rolling period": a_budget_spec(period={"rolling": "24h", "timeZone": "UTC"}),
    "a rolling moment": a_budget_spec(period={"rolling": "30s"}),
    "a rolling year": a_budget_spec(period={"rolling": "8760h"}),
    "energy of zero": a_budget_spec(limits={"energy": "0.0kWh"}),
    "energy without a unit": a_budget_spec(limits={"energy": "12"}),
    "energy in watts": a_budget_spec(limits={"energy": "12W"}),
    "power in watt-hours": {"limits": {"power": "12Wh"}},
    "negative power": {"limits": {"power": "-1W"}},
    "cost with a currency": a_budget_spec(limits={"cost": "12EUR"}),
    "an unknown enforcement": a_budget_spec(enforcement="Always"),
    "an unknown measure": a_budget_spec(measures=["Shout"]),
    "no measure": a_budget_spec(measures=[]),
    "a share above one": a_budget_spec(minMeasuredShare="1.1"),
    "a reserve below the middle": a_budget_spec(reserve="0.4"),
    "a reserve of everything": a_budget_spec(reserve="1"),
    "a weight of zero": a_budget_spec(selector={"namespaces": [{"name": "a", "weight": 0}]}),
    "broken glass for ever": a_budget_spec(breakGlass=BREAK | {"until": "2027-01-05T08:00:00Z"}),
    "broken glass that ends first": a_budget_spec(breakGlass=BREAK | {"until": "2026-01-04T08:00:00Z"}),
    "broken glass by nobody": a_budget_spec(breakGlass={"since": BREAK["since"], "until": BREAK["until"]}),
}


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD)
def test_what_the_api_server_takes_is_read(spec: dict[str, Any]) -> None:
    assert not refusals(SPEC, spec)
    assert is_taken(spec)
    parse_budget(a_budget_body(spec=spec), ZoneInfo)


@pytest.mark.parametrize("spec", BAD.values(), ids=BAD)
def test_what_the_api_server_refuses_is_refused_by_an_older_ones_operator_too(spec: dict[str, Any]) -> None:
    assert not is_taken(spec)
    with pytest.raises(SpecError, match="apply crds/ again"):
        parse_budget(a_budget_body(spec=spec), ZoneInfo)


def test_no_rule_fails_to_run_on_what_is_taken() -> None:
    """`has` of what is absent, and a duration of what is none, would be an error and refuse everything."""
    sound = [spec for spec in (*GOOD.values(), *BAD.values()) if jsonschema.Draft7Validator(SPEC).is_valid(spec)]
    assert len(sound) > len(GOOD) + 5
    for spec in sound:
        assert not [message for message in refusals(SPEC, spec) if " failed: " in message]


# Reading.


@given(
    st.integers(1, 10**6),
    st.sampled_from([("Wh", 3.6e3), ("kWh", 3.6e6), ("MWh", 3.6e9)]),
    st.sampled_from([("W", 1.0), ("kW", 1e3), ("MW", 1e6)]),
    st.sampled_from([("g", 1.0), ("kg", 1e3), ("t", 1e6)]),
)
def test_amounts_are_read_with_their_units(
    thousandths: int, energy: tuple[str, float], power: tuple[str, float], carbon: tuple[str, float]
) -> None:
    number = f"{thousandths / 1000:.3f}"
    limits = {
        "energy": number + energy[0],
        "power": number + power[0],
        "carbon": number + carbon[0],
        "cost": number,
    }
    budget = a_budget(limits=limits)
    expected = {Limit.ENERGY: energy[1], Limit.CARBON: carbon[1], Limit.COST: 1.0}
    assert budget.amounts == pytest.approx({limit: float(number) * unit for limit, unit in expected.items()})
    assert budget.spec.limits.power == pytest.approx(float(number) * power[1])


def test_a_budget_observes_unless_told_otherwise() -> None:
    spec = a_budget(enforcement=None).spec
    assert (spec.enforcement, spec.min_measured_share, spec.break_glass) == (Enforcement.OBSERVE, 0.0, None)


def test_periods_are_read() -> None:
    day, rolling = (
        a_budget(period={"calendar": "Day", "timeZone": "Europe/Berlin"}),
        a_budget(period={"rolling": "10m"}),
    )
    assert isinstance(day.period, CalendarPeriod)
    assert day.period.span(MONDAY_S).start_s == MONDAY_S - 3600.0
    assert rolling.period == RollingPeriod(600.0)


def test_a_zone_that_nobody_knows_is_told_with_its_field() -> None:
    def unknown(name: str) -> ZoneInfo:
        raise SpecError(f"{name!r} is no time zone")

    with pytest.raises(SpecError, match=r"spec.period.timeZone: 'Mars/Base' is no time zone"):
        parse_budget(a_budget_body(spec=a_budget_spec(period={"calendar": "Day", "timeZone": "Mars/Base"})), unknown)


@pytest.mark.parametrize(
    ("selector", "namespace", "is_selected"),
    [
        pytest.param(None, "a", True, id="everything"),
        pytest.param({"namespaces": [{"name": "a"}]}, "a", True, id="its namespace"),
        pytest.param({"namespaces": [{"name": "a"}]}, "b", False, id="another one"),
        pytest.param({"matchLabels": {"tier": "gold"}}, "a", True, id="its label"),
        pytest.param({"matchLabels": {"tier": "tin"}}, "a", False, id="another label"),
        pytest.param({"namespaces": [{"name": "b"}], "matchLabels": {"tier": "gold"}}, "a", False, id="both must fit"),
    ],
)
def test_whom_a_budget_is_for(selector: dict[str, Any] | None, namespace: str, is_selected: bool) -> None:
    body = a_body("chat", namespace)
    body["metadata"]["labels"] = {"tier": "gold"}
    assert a_budget(selector=selector).selects(parse(body)) is is_selected


def test_a_namespace_weighs_what_is_said_or_one() -> None:
    budget = a_budget(selector={"namespaces": [{"name": "a", "weight": 3}, {"name": "b"}]})
    assert (budget.weight("a"), budget.weight("b")) == (3.0, 1.0)


def test_the_glass_is_broken_from_its_first_moment_until_its_last() -> None:
    broken = a_budget(breakGlass=BREAK).spec.break_glass
    assert broken is not None
    at_eight_s = MONDAY_S + 8 * 3600.0
    assert [broken.is_open(at_eight_s + s) for s in (-1.0, 0.0, 12 * 3600.0 - 1.0, 12 * 3600.0)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_model_has_a_priority() -> None:
    assert (a_model().spec.energy.priority, a_model(energy={"priority": -7}).spec.energy.priority) == (0, -7)
    with pytest.raises(SpecError, match=r"spec.energy.priority"):
        a_model(energy={"priority": 2000})
