"""What the chart repeats from elsewhere is equal to it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml


def test_the_charts_crds_are_the_crds(root: Path, chart: Path) -> None:
    original = {path.name: path.read_bytes() for path in (root / "crds").glob("*.yaml")}
    copy = {path.name: path.read_bytes() for path in (chart / "files" / "crds").iterdir()}
    assert original
    assert copy == original, "crds/ is the source: cp crds/*.yaml charts/lull/files/crds/"


def test_chart_application_and_distribution_have_one_version(root: Path, chart: Path) -> None:
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert about["version"] == about["appVersion"] == project["version"]


@pytest.mark.parametrize("source", ["README.md", "templates/NOTES.txt"])
def test_the_example_fits_the_crd(root: Path, chart: Path, source: str) -> None:
    """Structure alone; the API server checks the rules between fields in e2e."""
    crd = yaml.safe_load((root / "crds" / "inferencedeployments.yaml").read_text())
    example = example_in((chart / source).read_text())
    version = crd["spec"]["versions"][0]
    assert example["kind"] == crd["spec"]["names"]["kind"]
    assert example["apiVersion"] == f"{crd['spec']['group']}/{version['name']}"
    shape = closed(version["schema"]["openAPIV3Schema"])
    jsonschema.Draft7Validator(shape).validate({key: example[key] for key in ("spec",)})


def example_in(text: str) -> dict[str, Any]:
    found = re.search(r"^apiVersion: lull\.dev.*?(?=^(?:EOF|```)$)", text, re.MULTILINE | re.DOTALL)
    assert found, "no InferenceDeployment in it"
    example: dict[str, Any] = yaml.safe_load(found.group())
    return example


def closed(node: Any) -> Any:
    """The schema with unknown names refused, as kubectl does."""
    if not isinstance(node, dict):
        return node
    out = {
        name: {k: closed(v) for k, v in child.items()} if name == "properties" else closed(child)
        for name, child in node.items()
    }
    if "properties" in out and not out.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    return out
