"""Whose credentials are used, and what is said of files that cannot be."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.config import kube_config

from loopback import Peer, as_json, serve
from lull.adapters.kubeconfig import as_user
from lull.errors import SettingsError


def a_config(url: str, context: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [{"name": context, "cluster": {"server": url}}],
        "users": [{"name": context, "user": {"token": token}}],
    }


def look_at(*paths: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes these the places where kubeconfigs are looked for."""
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", os.pathsep.join(map(str, paths)))


def ask(context: str | None = None) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        async with as_user(context) as api:
            return await api.get("/api/v1/namespaces/demo")

    return asyncio.run(main())


@pytest.fixture
def peers() -> Any:
    with serve(lambda _: as_json({"at": "one"})) as one, serve(lambda _: as_json({"at": "two"})) as two:
        yield one, two


@pytest.mark.parametrize(("context", "at", "token"), [(None, "one", "a"), ("one", "one", "a"), ("two", "two", "b")])
def test_the_context_says_which_cluster_is_asked_and_as_whom(
    context: str | None,
    at: str,
    token: str,
    peers: tuple[Peer, Peer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of several files the current context of the last one counts, as in the library; here both name the first."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(json.dumps(a_config(peers[0].url, "one", "a")))
    two.write_text(json.dumps(a_config(peers[1].url, "two", "b") | {"current-context": "one"}))
    look_at(one, two, tmp_path / "none", monkeypatch=monkeypatch)
    assert ask(context) == {"at": at}
    asked = peers[0] if at == "one" else peers[1]
    assert asked.requests[0].headers["authorization"] == f"Bearer {token}"


def test_the_file_of_the_user_is_left_as_it_is(
    peers: tuple[Peer, Peer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(a_config(peers[0].url, "one", "a")))
    before = path.read_bytes(), path.stat().st_mtime_ns
    look_at(path, monkeypatch=monkeypatch)
    ask()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


BROKEN = {
    "no YAML": "a: [",
    "a list": "[]",
    "empty": "",
    "no contexts": "{}",
    "no cluster": json.dumps(a_config("http://x", "one", "a") | {"clusters": []}),
    "no authority": json.dumps(
        a_config("x", "one", "a")
        | {"clusters": [{"name": "one", "cluster": {"server": "https://x", "certificate-authority": "/no/such/file"}}]}
    ),
    "an authority that is none": json.dumps(
        a_config("x", "one", "a")
        | {"clusters": [{"name": "one", "cluster": {"server": "https://x", "certificate-authority-data": "bm8="}}]}
    ),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_used_is_named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    look_at(path, monkeypatch=monkeypatch)
    with pytest.raises(SettingsError, match=f"kubeconfig {path} cannot be used: .+; kubectl config get-contexts"):
        ask()


def test_where_there_is_none_all_places_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at(tmp_path / "one", tmp_path / "two", monkeypatch=monkeypatch)
    with pytest.raises(SettingsError, match=f"no kubeconfig at {tmp_path}/one, {tmp_path}/two: set KUBECONFIG"):
        ask()
