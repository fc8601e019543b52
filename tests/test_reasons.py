"""The closed set of reasons: each is explained, used, and one word for people and machines alike."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from lull.model import reason as module
from lull.model.reason import Reason

SOURCE = Path(inspect.getfile(module))
OTHERS = [path for path in SOURCE.parents[1].rglob("*.py") if path != SOURCE]


def docstrings() -> dict[str, str]:
    """Text after each member, by the member's name."""
    (body,) = (node.body for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.ClassDef))
    found = {}
    for statement, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            found[statement.targets[0].id] = str(after.value.value) if is_text else ""
    return found


def used() -> set[str]:
    """Members that some other module names, as ``Reason.X``."""
    nodes = (node for path in OTHERS for node in ast.walk(ast.parse(path.read_text())))
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }


DOCSTRINGS, USED = docstrings(), used()


@pytest.mark.parametrize("member", list(Reason), ids=str)
def test_every_reason_is_explained_in_a_sentence(member: Reason) -> None:
    assert re.fullmatch(r"[A-Za-z].*\.", DOCSTRINGS[member.name], re.DOTALL)


@pytest.mark.parametrize("member", list(Reason), ids=str)
def test_every_reason_is_used(member: Reason) -> None:
    assert member.name in USED


@pytest.mark.parametrize("member", list(Reason), ids=str)
def test_a_reason_is_one_word_that_kubernetes_takes(member: Reason) -> None:
    """In conditions a reason is CamelCase; the member's name is the same word."""
    assert re.fullmatch(r"([A-Z][a-z]+)+", member.value)
    assert re.sub(r"(?<!^)(?=[A-Z])", "_", member.value).upper() == member.name


def test_no_reason_is_told_in_two_ways() -> None:
    assert len(set(DOCSTRINGS.values())) == len(DOCSTRINGS) == len(Reason)
