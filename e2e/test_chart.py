"""The chart through the real helm, and through the real API server without installing anything."""

import argparse
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from lull.commands import wake
from lull.names import LEASE
from lull.settings import LogFormat, LogLevel, Mode, Settings

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "lull"
CONTEXT = "kind-lull"
URL = "http://prometheus.monitoring:9090"
NEEDED = ["--set", f"prometheus.url={URL}"]

# Another name than the real release's: Helm and the API server would find that one's objects in the way.
RELEASE = "lull-dry"


def tool(name: str) -> str:
    """Path of a program, the project's own cache before everything else; an upper-case variable names another."""
    cache = Path(os.environ.get("LULL_CACHE") or Path.home() / ".cache" / "lull") / "bin"
    found = os.environ.get(name.upper()) or shutil.which(name, path=f"{cache}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.fail(f"no {name} in {cache} nor in PATH; put it there, or name it in {name.upper()}")
    return found


def run(name: str, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool(name), *args], input=stdin, capture_output=True, text=True, timeout=60, check=False)


def render(*args: str, chart: Path = CHART) -> list[dict[str, Any]]:
    done = run("helm", "template", RELEASE, str(chart), "--namespace", "lull-system", *args)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def one(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].endswith(name)]
    assert len(found) == 1, [(o["kind"], o["metadata"]["name"]) for o in objects]
    return found[0]


def env_of(objects: list[dict[str, Any]]) -> dict[str, str]:
    (container,) = one(objects, "Deployment", RELEASE)["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    return render(*NEEDED)


class _Strict(yaml.SafeLoader):
    """YAML as the API server's strict validation reads it: a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key is there twice{node.start_mark}"
        return super().construct_mapping(node, deep)


def test_no_key_is_there_twice() -> None:
    done = run("helm", "template", RELEASE, str(CHART), "--namespace", "lull-system", *NEEDED)
    assert list(yaml.load_all(done.stdout, _Strict))


def test_lint_finds_nothing() -> None:
    done = run("helm", "lint", "--strict", str(CHART), *NEEDED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_the_operator_takes_the_rendered_environment(rendered: list[dict[str, Any]]) -> None:
    env = env_of(rendered)
    assert len(env) == len(fields(Settings))
    assert Settings.from_env(env) == Settings(prometheus_url=URL)


def test_every_value_reaches_its_setting(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        """
        prometheus: {url: "https://mimir:8443/prometheus", timeout: 11s, rateWindow: 2m, staleAfter: 1m30s}
        mode: Enforce
        tick: 5s
        drainPause: 7s
        statusRefresh: 1h
        writesPerSecond: 50
        log: {format: text, level: debug}
        metrics: {port: 9090}
        """
    )
    settings = Settings.from_env(env_of(render("--values", str(values))))
    assert settings == Settings(
        prometheus_url="https://mimir:8443/prometheus",
        prometheus_timeout_s=11,
        rate_window_s=120,
        stale_after_s=90,
        tick_s=5,
        mode=Mode.ENFORCE,
        drain_pause_s=7,
        status_refresh_s=3600,
        writes_per_s=50,
        health_port=9090,
        log_format=LogFormat.TEXT,
        log_level=LogLevel.DEBUG,
    )


@pytest.mark.parametrize("writes_per_s", ["1", "1000"])
def test_a_number_at_its_bound_is_still_written_as_the_operator_reads_it(writes_per_s: str) -> None:
    """Helm writes larger numbers as 1e+06, which is no setting."""
    env = env_of(render(*NEEDED, "--set", f"writesPerSecond={writes_per_s}"))
    assert Settings.from_env(env).writes_per_s == float(writes_per_s)


def test_the_pod_is_confined(rendered: list[dict[str, Any]]) -> None:
    pod = one(rendered, "Deployment", RELEASE)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all(set(volume) == {"name", "emptyDir"} for volume in pod["volumes"])


def test_no_foreign_variable_reaches_the_operator(rendered: list[dict[str, Any]]) -> None:
    """Service links of a Service called lull would be LULL_ variables, which the operator refuses."""
    assert one(rendered, "Deployment", RELEASE)["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_two_operators_share_a_lease_and_know_who_they_are(rendered: list[dict[str, Any]]) -> None:
    spec = one(rendered, "Deployment", RELEASE)["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (2, "RollingUpdate")
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (container,) = spec["template"]["spec"]["containers"]
    told = {v["name"]: v["valueFrom"]["fieldRef"]["fieldPath"] for v in container["env"] if "valueFrom" in v}
    assert told == {"POD_NAMESPACE": "metadata.namespace", "POD_NAME": "metadata.name", "POD_IP": "status.podIP"}
    budget = one(rendered, "PodDisruptionBudget", RELEASE)["spec"]
    assert budget == {"maxUnavailable": 1, "selector": spec["selector"]}
    (term,) = spec["template"]["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"] == spec["selector"]


def test_without_a_lease_there_is_one_writer_at_a_time() -> None:
    objects = render(*NEEDED, "--set", "leaderElection=false,replicas=1")
    spec = one(objects, "Deployment", RELEASE)["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert not [o for o in objects if o["kind"] == "Role"]


def test_the_lease_that_may_be_written_is_the_operators(rendered: list[dict[str, Any]]) -> None:
    role, binding = one(rendered, "Role"), one(rendered, "RoleBinding")
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "lull-system"
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["name"] == one(rendered, "ServiceAccount", RELEASE)["metadata"]["name"]
    assert [(rule["resources"], rule.get("resourceNames"), rule["verbs"]) for rule in role["rules"]] == [
        (["leases"], [LEASE], ["get", "patch"]),
        (["leases"], None, ["create"]),
    ]


@pytest.mark.parametrize("port", [8080, 9090])
def test_probes_service_and_scrape_meet_the_port(port: int) -> None:
    objects = render(*NEEDED, "--set", f"metrics.port={port}")
    template = one(objects, "Deployment", RELEASE)["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert container["ports"] == [{"name": "health", "containerPort": port, "protocol": "TCP"}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    service = one(objects, "Service")["spec"]
    assert [(p["name"], p["port"], p["targetPort"]) for p in service["ports"]] == [("metrics", port, "health")]
    assert service["selector"].items() <= template["metadata"]["labels"].items()


def test_labels_and_annotations_of_the_pod_are_joined(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        """
        podLabels: {team: serving, app.kubernetes.io/name: other}
        podAnnotations: {prometheus.io/scrape: "false", note: kept}
        """
    )
    spec = one(render(*NEEDED, "--values", str(values)), "Deployment", RELEASE)["spec"]
    labels, annotations = (spec["template"]["metadata"][name] for name in ("labels", "annotations"))
    assert labels["team"] == "serving"
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert (annotations["prometheus.io/scrape"], annotations["note"]) == ("false", "kept")


def test_scrape_annotations_can_be_left_out() -> None:
    template = one(render(*NEEDED, "--set", "metrics.scrapeAnnotations=false"), "Deployment", RELEASE)["spec"][
        "template"
    ]
    assert "annotations" not in template["metadata"]


def test_the_rest_of_the_pod_can_be_set(tmp_path: Path) -> None:
    asked = {
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "imagePullSecrets": [{"name": "pull"}],
    }
    image = {"repository": "registry.example:5000/lull", "tag": "1.2.3", "pullPolicy": "Always"}
    limits: dict[str, Any] = {"limits": {"memory": "1Gi", "cpu": 2}}
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps({**asked, "image": image, "resources": limits}))
    pod = one(render(*NEEDED, "--values", str(values)), "Deployment", RELEASE)["spec"]["template"]["spec"]
    assert {name: pod[name] for name in asked} == asked
    (container,) = pod["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example:5000/lull:1.2.3", "Always")
    assert container["resources"]["limits"] == limits["limits"]


def test_the_activator_is_confined_and_outlives_what_waits_in_it(rendered: list[dict[str, Any]]) -> None:
    spec = one(rendered, "Deployment", "-activator")["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert (spec["replicas"], container["args"]) == (2, ["activator"])
    assert (
        container["image"] == one(rendered, "Deployment", RELEASE)["spec"]["template"]["spec"]["containers"][0]["image"]
    )
    operator = one(rendered, "Deployment", RELEASE)["spec"]["template"]["spec"]
    assert pod["securityContext"] == operator["securityContext"]
    assert container["securityContext"] == operator["containers"][0]["securityContext"]
    assert pod["terminationGracePeriodSeconds"] >= 900, "the longest holdTimeout that the CRD allows"
    assert "lifecycle" not in container
    labels = spec["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "activator"
    assert one(rendered, "PodDisruptionBudget", "-activator")["spec"]["selector"] == spec["selector"]


def test_operator_and_activator_select_their_own_pods_alone(rendered: list[dict[str, Any]]) -> None:
    both = [one(rendered, "Deployment", name)["spec"] for name in (RELEASE, "-activator")]
    for mine, other in (both, reversed(both)):
        chosen = mine["selector"]["matchLabels"].items()
        assert chosen <= mine["template"]["metadata"]["labels"].items()
        assert not chosen <= other["template"]["metadata"]["labels"].items()


def test_the_holding_ports_reach_activator_and_network_policy() -> None:
    objects = render(*NEEDED, "--set", "activator.ports.from=30000,activator.ports.to=30099,activator.healthPort=9000")
    (container,) = one(objects, "Deployment", "-activator")["spec"]["template"]["spec"]["containers"]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert (env["LULL_ACTIVATOR_PORTS"], env["LULL_HEALTH_PORT"]) == ("30000-30099", "9000")
    assert container["ports"] == [{"name": "health", "containerPort": 9000, "protocol": "TCP"}]
    policy = one(objects, "NetworkPolicy")["spec"]
    assert policy["ingress"] == [
        {"ports": [{"protocol": "TCP", "port": 30000, "endPort": 30099}, {"protocol": "TCP", "port": 9000}]}
    ]
    assert policy["egress"][0] == {"to": [{"namespaceSelector": {}}]}


def test_before_it_is_uninstalled_every_sleeper_is_woken(rendered: list[dict[str, Any]]) -> None:
    job = one(rendered, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert "hook-failed" not in job["metadata"]["annotations"]["helm.sh/hook-delete-policy"], "its log tells why"
    pod, operator = job["spec"]["template"]["spec"], one(rendered, "Deployment", RELEASE)["spec"]
    (container,) = pod["containers"]
    command = container["args"]
    assert command == ["wake", "--all", "--operator", f"lull-system/{RELEASE}", "--timeout", "4m"]
    assert container["image"] == operator["template"]["spec"]["containers"][0]["image"]
    assert pod["serviceAccountName"] == operator["template"]["spec"]["serviceAccountName"]
    assert pod["securityContext"] == operator["template"]["spec"]["securityContext"]
    assert pod["restartPolicy"] == "Never"
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert not operator["selector"]["matchLabels"].items() <= labels.items(), "it would wait for its own pod to go"


def test_the_wake_job_is_a_command_that_the_operators_image_has(rendered: list[dict[str, Any]]) -> None:
    (container,) = one(rendered, "Job")["spec"]["template"]["spec"]["containers"]
    parser = argparse.ArgumentParser()
    wake.add_to(parser.add_subparsers())
    asked = parser.parse_args(container["args"])
    assert (asked.operator, asked.timeout, asked.without_lease) == (("lull-system", RELEASE), 240.0, False)


def test_without_a_lease_the_wake_job_takes_none() -> None:
    objects = render(*NEEDED, "--set", "leaderElection=false,replicas=1")
    assert "--without-lease" in one(objects, "Job")["spec"]["template"]["spec"]["containers"][0]["args"]


def test_a_release_may_leave_its_sleepers_asleep() -> None:
    assert not [o for o in render(*NEEDED, "--set", "uninstall.wake=false") if o["kind"] == "Job"]


def test_without_the_activator_nothing_of_it_is_installed() -> None:
    objects = render(*NEEDED, "--set", "activator.enabled=false")
    assert not [o for o in objects if "activator" in o["metadata"]["name"] or o["metadata"]["name"].endswith("-hold")]


def test_the_policy_names_the_activators_account(rendered: list[dict[str, Any]]) -> None:
    policy, account = (
        one(rendered, "ValidatingAdmissionPolicy"),
        one(rendered, "ServiceAccount", "-activator")["metadata"],
    )
    (condition,) = policy["spec"]["matchConditions"]
    assert f"'system:serviceaccount:{account['namespace']}:{account['name']}'" in condition["expression"]
    binding = one(rendered, "ValidatingAdmissionPolicyBinding")["spec"]
    assert binding == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}


def roles(objects: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {
        o["metadata"]["name"].removeprefix(f"{RELEASE}-"): o["rules"] for o in objects if o["kind"] == "ClusterRole"
    }


def rights(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_operator_and_activator_may_do_this_and_nothing_else(rendered: list[dict[str, Any]]) -> None:
    """Written out, so that nobody widens a right without saying so here."""
    found = {purpose: rights(rules) for purpose, rules in roles(rendered).items()}
    watched = [
        ("lull.dev", "inferencedeployments"),
        ("", "pods"),
        ("", "services"),
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("autoscaling", "horizontalpodautoscalers"),
        ("keda.sh", "scaledobjects"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("discovery.k8s.io", "endpointslices"),
    ]
    assert found == {
        "watch": {(group, resource, verb) for group, resource in watched for verb in ("list", "watch")},
        "route": {
            *(("discovery.k8s.io", "endpointslices", verb) for verb in ("create", "patch", "delete")),
            ("discovery.k8s.io", "endpointslices/restricted", "create"),
        },
        "own": {
            ("apps", "deployments", "create"),
            ("apps", "deployments", "get"),
            ("apps", "deployments", "patch"),
            ("", "services", "create"),
            ("", "services", "patch"),
            ("apps", "deployments/scale", "get"),
            ("apps", "deployments/scale", "patch"),
            ("lull.dev", "inferencedeployments/finalizers", "update"),
        },
        "scale": {
            ("apps", "deployments/scale", "get"),
            ("apps", "deployments/scale", "patch"),
            ("apps", "statefulsets/scale", "get"),
            ("apps", "statefulsets/scale", "patch"),
        },
        "mark": {("", "pods", "patch")},
        "rest": {("", "pods", "patch")},
        "report": {("lull.dev", "inferencedeployments/status", "patch"), ("", "events", "create")},
        "hold": {
            *(("lull.dev", "inferencedeployments", verb) for verb in ("get", "list", "watch")),
            *(("discovery.k8s.io", "endpointslices", verb) for verb in ("get", "list", "watch")),
            ("lull.dev", "inferencedeployments/status", "patch"),
        },
    }


def test_no_right_is_a_wildcard_or_reads_secrets_and_only_slices_are_deleted(tmp_path: Path) -> None:
    """A route that is no longer needed is deleted; whatever else Lull makes goes with its owner."""
    values = tmp_path / "values.yaml"
    targets = [{"apiGroup": "argoproj.io", "resources": ["rollouts"]}, {"apiGroup": "", "resources": ["things"]}]
    values.write_text(json.dumps({"rbac": {"scaleTargets": targets}}))
    for rules in roles(render(*NEEDED, "--values", str(values))).values():
        assert all(set(rule) == {"apiGroups", "resources", "verbs"} for rule in rules)
        for group, resource, verb in rights(rules):
            assert "*" not in group + resource + verb
            assert verb not in {"deletecollection", "escalate", "bind", "impersonate"}
            assert verb != "delete" or (group, resource) == ("discovery.k8s.io", "endpointslices")
            assert resource != "secrets"


def test_adopted_kinds_follow_the_values(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    targets = [{"apiGroup": "argoproj.io", "resources": ["rollouts"]}]
    values.write_text(json.dumps({"rbac": {"scaleTargets": targets}}))
    found = roles(render(*NEEDED, "--values", str(values)))
    assert rights(found["scale"]) == {("argoproj.io", "rollouts/scale", verb) for verb in ("get", "patch")}
    assert ("apps", "deployments/scale", "patch") in rights(found["own"]), "owned Deployments are scaled all the same"


def test_nothing_adopted_means_no_role_for_it() -> None:
    assert set(roles(render(*NEEDED, "--set-json", "rbac.scaleTargets=[]"))) == {
        "watch",
        "own",
        "report",
        "hold",
        "route",
        "mark",
        "rest",
    }


def test_every_role_is_bound_to_one_account(rendered: list[dict[str, Any]]) -> None:
    bindings = [o for o in rendered if o["kind"] == "ClusterRoleBinding"]
    assert {b["roleRef"]["name"] for b in bindings} == {f"{RELEASE}-{purpose}" for purpose in roles(rendered)}
    for binding in bindings:
        whose = "lull-dry-activator" if binding["roleRef"]["name"] == f"{RELEASE}-hold" else RELEASE
        account = one(rendered, "ServiceAccount", whose)["metadata"]
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
        assert one(rendered, "Deployment", whose)["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]


def test_rights_and_account_can_be_someone_elses() -> None:
    theirs = "rbac.create=false,serviceAccount.create=false,serviceAccount.name=theirs"
    objects = render(*NEEDED, "--set", theirs, "--set", "activator.enabled=false,uninstall.wake=false")
    assert sorted(o["kind"] for o in objects) == [
        "CustomResourceDefinition",
        "CustomResourceDefinition",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
    ]
    assert one(objects, "Deployment", RELEASE)["spec"]["template"]["spec"]["serviceAccountName"] == "theirs"


def test_the_crds_are_in_the_release_unless_told_otherwise(rendered: list[dict[str, Any]]) -> None:
    found = {o["metadata"]["name"]: o for o in rendered if o["kind"] == "CustomResourceDefinition"}
    source = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert found == {crd["metadata"]["name"]: crd for crd in source}
    for crd in found.values():
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    without = render(*NEEDED, "--set", "crds.install=false")
    assert {o["kind"] for o in rendered} - {o["kind"] for o in without} == {"CustomResourceDefinition"}


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("prometheus.url=", "prometheus.url is not set"),
        ("prometheus.url=prometheus:9090", "/prometheus/url"),
        ("prometheus.url=null", "prometheus': missing property 'url'"),
        ("tick=0s", "/tick"),
        ("tick=10", "/tick"),
        ("prometheus.timeout=10d", "/prometheus/timeout"),
        ("mode=Off", "one of 'Recommend', 'Enforce', 'Paused'"),
        ("mode=null", "missing property 'mode'"),
        ("writesPerSecond=0", "/writesPerSecond"),
        ("log.level=trace", "/log/level"),
        ("metrics.port=80", "/metrics/port"),
        ("rbac.scaleTargets[0].apiGroup=apps", "/rbac/scaleTargets/0': missing property 'resources'"),
        ("replicas=0", "/replicas"),
        ("leaderElection=false", "several operators without a Lease"),
        ("activator.ports.from=30000", "write the lower one first"),
        ("activator.healthPort=20001", "one of the holding ports 20000 to 29999"),
        ("activator.terminationGracePeriodSeconds=30", "/activator/terminationGracePeriodSeconds"),
        ("replica=2", "additional properties 'replica' not allowed"),
        ("serviceAccount.create=false", "serviceAccount.name is empty"),
    ],
)
def test_helm_refuses_a_bad_value_and_names_it(setting: str, told: str) -> None:
    done = run("helm", "template", RELEASE, str(CHART), *NEEDED, "--set", setting)
    assert done.returncode != 0
    assert told in done.stderr


@pytest.mark.parametrize("release", ["lull", "my.models", "a" * 53])
def test_names_fit_whatever_the_release_is_called(release: str) -> None:
    done = run("helm", "template", release, str(CHART), *NEEDED)
    assert done.returncode == 0, done.stderr
    names = [
        o["metadata"]["name"] for o in yaml.safe_load_all(done.stdout) if o and o["kind"] in {"Service", "Deployment"}
    ]
    assert len(names) == 3
    assert all(len(name) <= 63 and "." not in name for name in names), names


def test_the_chart_can_be_another_ones_dependency(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: platform, version: 1.0.0}")
    (tmp_path / "values.yaml").write_text(json.dumps({"global": {"x": 1}, "lull": {"prometheus": {"url": URL}}}))
    shutil.copytree(CHART, tmp_path / "charts" / "lull")
    assert one(render(chart=tmp_path), "Deployment", RELEASE)["metadata"]["name"] == RELEASE


@pytest.mark.parametrize("mode", ["Recommend", "Enforce", "Paused"])
def test_the_notes_say_what_was_installed_and_what_comes_next(mode: str) -> None:
    done = run("helm", "install", RELEASE, str(CHART), "--dry-run=client", "-n", "ns", *NEEDED, "--set", f"mode={mode}")
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:\n")[2]
    assert f"Mode {mode}:" in notes
    for part in (
        URL,
        "kubectl apply -f -",
        "kubectl get infd -A",
        f"kubectl -n ns logs -l app.kubernetes.io/instance={RELEASE}",
    ):
        assert part in notes


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """One that warns of pods that the restricted security standard would refuse."""
    name = f"lull-chart-test-{os.getpid()}"  # an earlier run's may still be on its way out
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def kubectl(*args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    done = run("kubectl", "--context", CONTEXT, *args, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done


def test_the_api_server_takes_what_is_rendered(namespace: str) -> None:
    """Nothing is kept: the API server goes all the way but the last step, with unknown fields refused."""
    done = run("helm", "template", RELEASE, str(CHART), "--namespace", namespace, *NEEDED)
    assert done.returncode == 0, done.stderr
    taken = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=done.stdout)
    lines = taken.stdout.splitlines()
    assert len(lines) == sum(1 for document in yaml.safe_load_all(done.stdout) if document)
    assert all(line.endswith("(server dry run)") for line in lines)
    assert "PodSecurity" not in taken.stderr


@pytest.mark.parametrize("source", ["README.md", "templates/NOTES.txt"])
@pytest.mark.usefixtures("lull")
def test_the_api_server_takes_the_examples(source: str) -> None:
    """Against the CRD that the installed chart brought: a dry run of the CRD would not last until its first object."""
    example = re.search(
        r"^apiVersion: lull\.dev.*?(?=^(?:EOF|```)$)", (CHART / source).read_text(), re.MULTILINE | re.DOTALL
    )
    assert example
    kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=example.group())
