"""values.yaml, values.schema.json and the chart's README say the same."""

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

# Values whose default the README puts in words, since it does not fit a table.
IN_WORDS = {"rbac.scaleTargets"}

# Helm puts it into the values of a chart that is another one's dependency.
HELMS_OWN = {"global"}


def resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in node:
        return node
    found: Mapping[str, Any] = schema["definitions"][node["$ref"].removeprefix("#/definitions/")]
    return found


def leaves_of_schema(schema: Mapping[str, Any], node: Mapping[str, Any], at: str = "") -> Iterator[str]:
    for name, child in node["properties"].items():
        here = resolved(schema, child)
        if "properties" in here:
            yield from leaves_of_schema(schema, here, f"{at}{name}.")
        else:
            yield f"{at}{name}"


def leaves_of_values(values: Mapping[str, Any], leaves: set[str], at: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and f"{at}{name}" not in leaves:
            yield from leaves_of_values(value, leaves, f"{at}{name}.")
        else:
            yield f"{at}{name}", value


def objects_in(node: Any, at: str = "$") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, dict):
        if "properties" in node:
            yield at, node
        for name, child in node.items():
            yield from objects_in(child, f"{at}.{name}")


def key_lines(node: yaml.MappingNode, at: str = "") -> Iterator[tuple[str, int]]:
    for key, value in node.value:
        yield f"{at}{key.value}", key.start_mark.line
        if isinstance(value, yaml.MappingNode):
            yield from key_lines(value, f"{at}{key.value}.")


@pytest.fixture(scope="module")
def leaves(schema: dict[str, Any]) -> set[str]:
    return set(leaves_of_schema(schema, schema)) - HELMS_OWN


@pytest.fixture(scope="module")
def defaults(values: dict[str, Any], leaves: set[str]) -> dict[str, Any]:
    return dict(leaves_of_values(values, leaves))


def test_the_schema_is_valid_and_takes_the_defaults(schema: dict[str, Any], values: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(values)


def test_schema_and_values_have_the_same_names(leaves: set[str], defaults: dict[str, Any]) -> None:
    assert leaves == set(defaults)


def test_no_object_of_the_schema_takes_unknown_names(schema: dict[str, Any]) -> None:
    lax = [at for at, node in objects_in(schema) if node.get("additionalProperties") is not False]
    assert lax == []


def test_required_names_exist(schema: dict[str, Any]) -> None:
    for at, node in objects_in(schema):
        assert set(node.get("required", ())) <= set(node["properties"]), at


def test_every_value_has_a_comment_above_it(chart: Path, leaves: set[str]) -> None:
    text = (chart / "values.yaml").read_text()
    lines = text.splitlines()
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(document, yaml.MappingNode)
    at = {name: line for name, line in key_lines(document) if name in leaves}
    assert set(at) == leaves
    bare = [name for name, line in at.items() if not lines[line - 1].lstrip().startswith("# ")]
    assert bare == []


def test_the_readme_lists_every_value_with_its_default(chart: Path, defaults: dict[str, Any]) -> None:
    table = (chart / "README.md").read_text().partition("\n## Values\n")[2]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \|", table, re.MULTILINE))
    assert list(rows) == list(defaults), "one row a value, in the order of values.yaml"
    told = {name: yaml.safe_load(cell.strip("`")) for name, cell in rows.items() if name not in IN_WORDS}
    assert told == {name: value for name, value in defaults.items() if name not in IN_WORDS}


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        ("prometheus.url", "prometheus:9090"),
        ("prometheus.url", "ftp://prometheus"),
        ("prometheus.url", "http://two words"),
        ("prometheus.timeout", "10"),
        ("prometheus.timeout", 10),
        ("prometheus.rateWindow", "0s"),
        ("prometheus.staleAfter", "-1m"),
        ("prometheus.staleAfter", "1d"),
        ("prometheus.retries", 3),
        ("tick", ""),
        ("tick", "10 s"),
        ("drainPause", "1.5s"),
        ("statusRefresh", None),
        ("mode", "enforce"),
        ("mode", "Off"),
        ("writesPerSecond", 0),
        ("writesPerSecond", 0.5),
        ("writesPerSecond", "20"),
        ("writesPerSecond", 2_000_000),
        ("log.format", "logfmt"),
        ("log.level", "trace"),
        ("log", "debug"),
        ("metrics.port", 80),
        ("metrics.port", 65536),
        ("metrics.port", "8080"),
        ("metrics.scrapeAnnotations", "yes"),
        ("image.repository", "lull/operator "),
        ("image.tag", 1.0),
        ("image.tag", "a b"),
        ("image.pullPolicy", "Sometimes"),
        ("imagePullSecrets", ["name"]),
        ("crds.install", "true"),
        ("crds.keep", True),
        ("fullnameOverride", "Lull"),
        ("fullnameOverride", "l" * 54),
        ("serviceAccount.name", "Lull"),
        ("serviceAccount.annotations", {"a": 1}),
        ("rbac.scaleTargets", [{"apiGroup": "apps", "resources": ["*"]}]),
        ("rbac.scaleTargets", [{"apiGroup": "*", "resources": ["deployments"]}]),
        ("rbac.scaleTargets", [{"apiGroup": "apps", "resources": ["deployments/scale"]}]),
        ("rbac.scaleTargets", [{"apiGroup": "apps", "resources": ["Deployment"]}]),
        ("rbac.scaleTargets", [{"apiGroup": "apps", "resources": []}]),
        ("rbac.scaleTargets", [{"resources": ["deployments"]}]),
        ("resources.limit", {"memory": "1Gi"}),
        ("uninstall.timeout", "4"),
        ("uninstall.wake", "yes"),
        ("activator.replicas", 0),
        ("activator.ports.from", 80),
        ("activator.healthPort", "8081"),
        ("activator.terminationGracePeriodSeconds", 60),
        ("activator.networkPolicy.apiServerPorts", []),
        ("activator.preStop", "5s"),
        ("nodeSelector", {"gpu": True}),
        ("tolerations", {}),
        ("podLabels", {"team": 7}),
        ("replicas", 0),
        ("replicas", "2"),
        ("replicas", 11),
        ("leaderElection", "true"),
    ],
)
def test_a_bad_value_is_refused(schema: dict[str, Any], values: dict[str, Any], path: str, bad: object) -> None:
    changed = copy.deepcopy(values)
    *parents, name = path.split(".")
    node = changed
    for parent in parents:
        node = node[parent]
    node[name] = bad
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(changed))
    assert errors
    assert all(list(error.absolute_path)[: len(parents)] == parents for error in errors), "the error is elsewhere"


def test_a_missing_value_is_refused(schema: dict[str, Any], values: dict[str, Any]) -> None:
    """Helm takes null as the wish to remove a default; the templates rely on these."""
    for name in schema["required"]:
        with pytest.raises(jsonschema.ValidationError, match=f"'{name}' is a required property"):
            jsonschema.Draft7Validator(schema).validate({key: values[key] for key in values if key != name})


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("prometheus.url", "https://mimir.example:8443/prometheus"),
        ("tick", "1m30s"),
        ("tick", "500ms"),
        ("writesPerSecond", 1),
        ("image.tag", "0.1.0@sha256:" + "0" * 64),
        ("image.repository", "registry.example:5000/team/lull"),
        ("rbac.scaleTargets", []),
        ("rbac.scaleTargets", [{"apiGroup": "", "resources": ["replicationcontrollers"]}]),
        ("global", {"anything": 1}),
    ],
)
def test_an_unusual_good_value_is_taken(
    schema: dict[str, Any], values: dict[str, Any], path: str, good: object
) -> None:
    changed = copy.deepcopy(values)
    *parents, name = path.split(".")
    node = changed
    for parent in parents:
        node = node[parent]
    node[name] = good
    jsonschema.Draft7Validator(schema).validate(changed)
