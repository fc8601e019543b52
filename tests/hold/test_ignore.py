"""What is nobody's wish for an answer."""

import pytest

from lull.hold.ignore import Ignore

CURL = "curl/8.5.0"


@pytest.mark.parametrize(
    ("method", "target", "agent", "ignored"),
    [
        pytest.param("GET", "/metrics", CURL, True, id="a scrape"),
        pytest.param("HEAD", "/healthz", None, True, id="without a user agent"),
        pytest.param("GET", "/v2/health/ready?verbose=1", CURL, True, id="a query is no part of the path"),
        pytest.param("GET", "/v2/models/resnet/ready", CURL, True, id="a model's health"),
        pytest.param("GET", "/v2/models/resnet/versions/2/ready", CURL, True, id="a version's health"),
        pytest.param("GET", "/v2/models/a/b/ready", CURL, False, id="a star stays in its segment"),
        pytest.param("GET", "/v2/models/resnet", CURL, False, id="metadata is read"),
        pytest.param("GET", "/v1/models", CURL, False, id="the list of models is read"),
        pytest.param("POST", "/v2/models/resnet/infer", CURL, False, id="an inference"),
        pytest.param("POST", "/metrics", CURL, False, id="a post wants an answer"),
        pytest.param("OPTIONS", "/health", CURL, False, id="a preflight wants its headers"),
        pytest.param("GET", "/Metrics", CURL, False, id="paths have a case"),
        pytest.param("GET", "/metrics/", CURL, False, id="another path"),
        pytest.param("GET", "/x/metrics", CURL, False, id="not at the beginning"),
        pytest.param("GET", "/anything", "kube-probe/1.31", True, id="a kubelet"),
        pytest.param("GET", "/anything", "Prometheus/3.0.1", True, id="Prometheus"),
        pytest.param("GET", "/probe", "Blackbox Exporter/0.25.0", True, id="a blackbox probe, as it is written now"),
        pytest.param("POST", "/infer", "Blackbox-Exporter/0.24", True, id="a user agent counts for every method"),
        pytest.param("GET", "/", "googlehc/1.0", True, id="user agents have no case"),
        pytest.param("GET", "/", "ELB-HealthChecker/2.0", True, id="a load balancer"),
        pytest.param("GET", "/", "my kube-probe/1", False, id="a user agent from its beginning"),
        pytest.param("GET", "/", "", False, id="an empty user agent"),
    ],
)
def test_the_built_in_list(method: str, target: str, agent: str | None, ignored: bool) -> None:
    assert Ignore().matches(method, target, agent) is ignored


def test_lists_of_ones_own() -> None:
    ignore = Ignore(paths=["/status/**", "/a.b", "/[x]"], user_agents=["*bot*"])
    paths = ("/status/a/b", "/status/", "/a.b", "/aXb", "/[x]", "/x", "/metrics")
    assert [ignore.matches("GET", path, CURL) for path in paths] == [True, True, True, False, True, False, False]
    assert ignore.matches("POST", "/", "A Bot/1")


def test_empty_lists_ignore_nothing() -> None:
    ignore = Ignore(paths=(), user_agents=())
    assert not ignore.matches("GET", "", "")
    assert not ignore.matches("GET", "/metrics", "kube-probe/1.31")


def test_equal_lists_are_equal() -> None:
    assert Ignore() == Ignore()
    assert hash(Ignore()) == hash(Ignore())
    assert Ignore(paths=()) != Ignore()
