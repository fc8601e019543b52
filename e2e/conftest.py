"""The stage of the stories: a cluster that answers, Prometheus, Lull from its chart, and a namespace for each story."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from eventually import eventually
from kube import ENV, KubectlError, apply, diagnostics, kubectl

HERE = Path(__file__).parent
FAILED = pytest.StashKey[bool]()


class OneCluster(LoadScopeScheduling):  # type: ignore[misc]
    """Tests go to whichever worker is free, one by one; all stories go to one, for there is one cluster."""

    def _split_scope(self, nodeid: str) -> str:
        return "cluster" if nodeid.startswith(f"{HERE.name}/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneCluster:
    return OneCluster(config, log)


@pytest.fixture(scope="session")
def cluster() -> None:
    try:
        kubectl("get", "nodes")
    except (KubectlError, FileNotFoundError) as error:
        pytest.fail(f"no cluster answers ({error}); bring it up with: make cluster")


@pytest.fixture(scope="session")
def prometheus(cluster: None) -> None:
    kubectl("apply", "-f", str(HERE / "manifests/prometheus.yaml"))
    kubectl("-n", "monitoring", "rollout", "status", "deploy/prometheus", "--timeout=120s", timeout_s=130)


@pytest.fixture(scope="session")
def lull(prometheus: None) -> None:
    """Lull as the stories need it: planning every two seconds."""
    done = subprocess.run([str(HERE / "install.sh")], capture_output=True, text=True, env=ENV, timeout=400, check=False)
    if done.returncode:
        pytest.fail(f"the chart could not be installed: {done.stderr[-3000:]}\n{diagnostics('lull-system')}")


@pytest.fixture
def namespace(lull: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the story's own; what can be seen of it is told when the story fails."""
    yield from _a_namespace(request.node)


@pytest.fixture(scope="module")
def shared_namespace(lull: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """One namespace for all stories of a module, where each has a model of its own in it."""
    yield from _a_namespace(request.node)


def _a_namespace(of: pytest.Item | pytest.Module) -> Iterator[str]:
    name = re.sub(r"[^a-z0-9]+", "-", of.name.removeprefix("test_").removesuffix(".py"))[:40].strip("-")
    kubectl("delete", "namespace", name, "--ignore-not-found", timeout_s=180)
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # pods may start only once the namespace has its account
    eventually(lambda: kubectl("-n", name, "get", "serviceaccount", "default", "-o", "name"), within_s=30)
    yield name
    if of.stash.get(FAILED, False):
        print(diagnostics(name))
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
        if (module := item.getparent(pytest.Module)) is not None:
            module.stash[FAILED] = True
    return report
