"""The activator's account may tell how many wait in the pod that asks, and nothing else: tried with its own token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cycles import activators
from eventually import eventually
from kube import KubectlError, apply, kubectl, status
from models import adopting

ACCOUNT = "lull-activator"
HOME = "lull-system"

Ask = Callable[..., str]
"""kubectl with a token of the activator's account and no other right."""


@pytest.fixture
def ask_as(tmp_path: Path, lull: None) -> Callable[[str | None], Ask]:
    """By pod: the token is bound to it, as the one that the kubelet gives it; None = bound to nothing."""

    def ask_as(pod: str | None) -> Ask:
        bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod}") if pod else ()
        token = kubectl("-n", HOME, "create", "token", ACCOUNT, *bound).strip()
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        # Beside a client certificate, which kind gives, no token would count.
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        path = tmp_path / (pod or "unbound")
        path.write_text(json.dumps(config))
        return lambda *words: kubectl("--kubeconfig", str(path), *words)

    return ask_as


def _entry(pod: str, held: int = 0) -> dict[str, Any]:
    return {"pod": pod, "held": held, "expires": "2026-01-01T00:00:00Z"}


def _patch(namespace: str, change: dict[str, Any], *words: str) -> tuple[str, ...]:
    """Of the status where that is what changes."""
    whose = ("--subresource=status",) if "status" in change else ()
    return ("-n", namespace, "patch", "infd", "shy", "--type=merge", *whose, "-p", json.dumps(change), *words)


def _refusal(ask: Ask, *words: str) -> str:
    with pytest.raises(KubectlError) as refused:
        ask(*words)
    return str(refused.value)


def _grant_everything(namespace: str) -> None:
    """More than the chart gives the account: what is refused now the policy alone refuses."""
    rule = {"apiGroups": ["lull.dev"], "resources": ["*"], "verbs": ["*"]}
    meta = {"name": "generous", "namespace": namespace}
    api = "rbac.authorization.k8s.io"
    apply(
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": meta, "rules": [rule]},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "generous"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}],
        },
    )


def test_an_activator_pod_writes_its_own_entry_and_nothing_else(
    namespace: str, ask_as: Callable[[str | None], Ask]
) -> None:
    """The same changes are accepted from somebody else, so it is the policy that refuses them."""
    me, other = activators()[:2]
    apply(adopting("embed", namespace, "nobody", name="shy", pause_ms=25))
    eventually(lambda: status("shy", namespace).get("conditions"), within_s=30)
    ask = ask_as(me)

    wider, both = {"spec": {"maxReplicas": 9}}, {"status": {"activation": [_entry(me), _entry(other)]}}
    assert "cannot patch resource" in _refusal(ask, *_patch(namespace, wider))
    _grant_everything(namespace)
    eventually(lambda: ask(*_patch(namespace, {"status": {"activation": [_entry(me)]}})), within_s=15)
    assert status("shy", namespace)["activation"] == [_entry(me)]
    assert "changes no entry in status.activation but its own" in _refusal(ask, *_patch(namespace, both))
    kubectl(*_patch(namespace, both))

    for change, told in (
        ({"status": {"activation": [_entry(me), _entry(other, 7)]}}, "no entry in status.activation but its own"),
        ({"status": {"activation": [_entry(me)]}}, "no entry in status.activation but its own"),
        ({"status": {"route": "Hold"}}, "changes nothing in the status but activation"),
        ({"status": {"conditions": None}}, "changes nothing in the status but activation"),
        (wider, "changes no spec"),
        ({"metadata": {"finalizers": ["lull.dev/story"]}}, "changes no metadata"),
    ):
        refusal = _refusal(ask, *_patch(namespace, change))
        assert f"ValidatingAdmissionPolicy '{ACCOUNT}'" in refusal
        assert told in refusal
        kubectl(*_patch(namespace, change, "--dry-run=server"))

    assert f"ValidatingAdmissionPolicy '{ACCOUNT}'" in _refusal(ask_as(None), *_patch(namespace, both))
    ask(*_patch(namespace, {"status": {"activation": [_entry(me, 1), _entry(other)]}}))
    assert status("shy", namespace)["activation"] == [_entry(me, 1), _entry(other)]
