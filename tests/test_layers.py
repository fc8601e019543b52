"""Imports point down, and the rows of pure modules know nothing of clocks, networks and clusters.

8  __main__
7  cli
6  commands
5  runtime.handlers   runtime.operator
4  runtime   activator   replay                 (unaware of each other; replay knows no adapter)
3  cycle, which knows briefing, budgeting, carrying, foresight,     adapters   (unaware of each other)
   lessons, memory; recall
2  forecast | energy | decide | render | hold   (unaware of each other)
1  model
0  errors   names   settings
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "operator"

ROWS = {
    "lull": 0,
    "lull.errors": 0,
    "lull.names": 0,
    "lull.settings": 0,
    "lull.model": 1,
    "lull.forecast": 2,
    "lull.energy": 2,
    "lull.decide": 2,
    "lull.render": 2,
    "lull.hold": 2,
    "lull.memory": 3,
    "lull.foresight": 3,
    "lull.recall": 3,
    "lull.carrying": 3,
    "lull.briefing": 3,
    "lull.budgeting": 3,
    "lull.lessons": 3,
    "lull.cycle": 3,
    "lull.adapters": 3,
    "lull.activator": 4,
    "lull.replay": 4,
    "lull.runtime": 4,
    "lull.runtime.handlers": 5,
    "lull.runtime.operator": 5,
    "lull.commands": 6,
    "lull.cli": 7,
    "lull.__main__": 8,
}

PLANNER = (
    "lull.briefing",
    "lull.budgeting",
    "lull.carrying",
    "lull.cycle",
    "lull.foresight",
    "lull.lessons",
    "lull.memory",
    "lull.recall",
)

# The planner sees only values: whatever has a clock, a socket or chance in it stays above row 2. A replay may read the
# files it is given, and nothing else of the world.
IMPURE = {
    "kopf",
    "kubernetes",
    "aiohttp",
    "asyncio",
    "time",
    "random",
    "logging",
    "os",
    "requests",
    "prometheus_client",
    "prometheus_api_client",
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((SOURCE / "lull").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def prefix_of(module: str) -> str:
    """The longest entry of ROWS that the module lies under."""
    return max((p for p in ROWS if module == p or module.startswith(f"{p}.")), key=len)


def imports_of(source: str) -> Iterator[str]:
    """Every module that is imported, function bodies and type-checking blocks included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write absolute imports"
            base = node.module or ""
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base


def may_import(importer: str, imported: str) -> bool:
    below, row = ROWS[prefix_of(imported)], ROWS[prefix_of(importer)]
    if prefix_of(importer) == "lull.adapters" and below == ROWS["lull.render"]:
        return False  # adapters speak with the world; they conclude and word nothing
    if prefix_of(importer) == "lull.replay" and prefix_of(imported) == "lull.adapters":
        return False  # a green replay needs no cluster, and no cluster's libraries
    same_folder = importer.rpartition(".")[0] == imported.rpartition(".")[0]
    siblings = same_folder or prefix_of(importer) == prefix_of(imported)
    return below < row or (below == row and siblings) or imported == importer.rpartition(".")[0]


def offences(module: str, source: str) -> list[str]:
    is_pure = ROWS[prefix_of(module)] <= ROWS["lull.render"] or prefix_of(module) in {*PLANNER, "lull.replay"}
    found = []
    for imported in imports_of(source):
        if imported.partition(".")[0] == "lull":
            if not may_import(module, imported):
                found.append(f"{module} may not know {imported}")
        elif is_pure and imported.partition(".")[0] in IMPURE:
            found.append(f"{module} is pure and may not import {imported}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    assert offences(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_row(module: str) -> None:
    assert module == "lull" or prefix_of(module) != "lull", f"add {module} to ROWS"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("lull.decide.guards", "from lull.render.status import number", id="side by side"),
        pytest.param("lull.cycle", "from lull.adapters import mirror", id="the brain knows no adapter"),
        pytest.param("lull.adapters.api", "from lull.cycle import plan_cycle", id="an adapter knows no brain"),
        pytest.param("lull.adapters.api", "from lull.render.status import number", id="an adapter words nothing"),
        pytest.param("lull.model.spec", "from lull.decide import facts", id="upwards"),
        pytest.param("lull.runtime.loop", "import lull.runtime.handlers", id="upwards in one package"),
        pytest.param("lull.replay.world", "from lull.adapters import mirror", id="a replay knows no adapter"),
        pytest.param("lull.replay.world", "from lull.runtime.loop import Loop", id="a replay knows no runtime"),
        pytest.param("lull.runtime.loop", "from lull.replay.trace import read", id="the runtime knows no replay"),
        pytest.param("lull.activator.gate", "from lull.runtime.loop import Loop", id="the activator knows no runtime"),
        pytest.param("lull.activator.gate", "from lull.replay.trace import read", id="the activator knows no replay"),
        pytest.param("lull.runtime.loop", "from lull.activator.gate import Gate", id="the runtime knows no activator"),
        pytest.param("lull.hold.room", "from lull.activator.gate import Gate", id="a room knows no gate"),
        pytest.param("lull.hold.room", "import asyncio", id="a room that waits"),
        pytest.param("lull.hold.room", "from time import monotonic", id="clock in a room"),
        pytest.param("lull.hold.room", "from lull.decide import facts", id="a room decides no size"),
        pytest.param("lull.cycle", "from lull.replay.trace import read", id="the brain knows no replay"),
        pytest.param("lull.replay.world", "import kubernetes.aio", id="a cluster's library in a replay"),
        pytest.param("lull.replay.world", "from time import monotonic", id="clock in a replay"),
        pytest.param("lull.replay.world", "import random", id="chance without a seed in a replay"),
        pytest.param(
            "lull.replay.study", "from lull.commands.processes import Processes", id="a study knows no process"
        ),
        pytest.param("lull.commands.replay", "from lull.cli import main", id="a command knows no command line"),
        pytest.param("lull.settings", "import os", id="environment in a pure row"),
        pytest.param("lull.decide.guards", "def f():\n    from time import monotonic", id="clock in a function"),
        pytest.param("lull.cycle", "import asyncio.locks", id="impure submodule"),
        pytest.param("lull.recall", "from time import monotonic", id="clock in what the planner knows"),
        pytest.param("lull.render.explanation", "from lull.memory import Memory", id="words know no memory"),
    ],
)
def test_the_rule_bites(module: str, line: str) -> None:
    assert len(offences(module, line)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("lull.settings", "from lull.errors import SettingsError", id="siblings of row 0"),
        pytest.param("lull.decide.engine", "from lull.decide.guards import GUARDS", id="siblings in a package"),
        pytest.param("lull.runtime.handlers", "from lull.runtime.relist import COLLECTIONS", id="down in a package"),
        pytest.param("lull.adapters.mirror", "import time", id="adapters have a clock"),
        pytest.param("lull.replay.world", "from lull.cycle import plan_cycle", id="a replay asks the one brain"),
        pytest.param("lull.replay.policies.hpa", "from lull.replay.trace import Trace", id="within the replay"),
        pytest.param("lull.activator.gate", "import asyncio", id="the activator waits"),
        pytest.param("lull.activator.gate", "from lull.hold.room import Room", id="the activator asks the room"),
        pytest.param(
            "lull.activator.serving", "from lull.adapters import api", id="the activator speaks to the cluster"
        ),
        pytest.param("lull.commands.replay", "from lull.replay.trace import read", id="the command replays"),
        pytest.param("lull.commands.operator", "from lull.runtime.operator import run", id="the command runs"),
        pytest.param("lull.cli", "from lull.commands import replay", id="the command line has commands"),
        pytest.param("lull.cli", "from lull import __version__", id="the package itself"),
    ],
)
def test_the_rule_lets_pass(module: str, line: str) -> None:
    assert offences(module, line) == []


def test_operator_is_a_folder_and_no_package() -> None:
    """With an ``operator/__init__.py`` whoever runs from the root loses the standard library's module of that name."""
    assert not (SOURCE / "__init__.py").exists()
