"""``lull explain``, as a person calls it, against an API server on loopback."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from kubernetes.aio.config import kube_config
from rich.console import Console

from builders import Story, a_model, a_view, plan_of, silence, some_settings, some_signals
from explained import a_loop, a_story, a_wave, explained, goes_on
from fake_cluster import refused
from loopback import Peer, Reply, Request, as_json, kubeconfig, serve
from lull.cli import main
from lull.commands.explained import show
from lull.model.start import Start
from lull.render.changes import duration
from lull.render.explanation import explanation_of
from lull.runtime.health import app_for

PATH = "/api/v1/namespaces/lull-system/services/lull-metrics:metrics/proxy/explain/demo/chat"


@pytest.fixture(autouse=True)
def _a_pipe_of_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def lull(reply: Reply | Callable[[Request], Reply], *args: str, model: str = "demo/chat") -> tuple[int, Peer]:
    """Calls the command while an API server answers so."""
    with serve(reply if callable(reply) else lambda _: reply) as peer, kubeconfig(peer.url):
        return main(["explain", model, *args]), peer


def a_busy_story() -> Story:
    return a_wave(a_story())


@functools.cache
def _lived_through() -> str:
    return json.dumps(explained(a_busy_story(), some_signals(33.0)))


def an_explanation() -> dict[str, Any]:
    """A copy for each test of what one and the same story came to."""
    found: dict[str, Any] = json.loads(_lived_through())
    return found


def test_the_operator_is_asked_through_the_api_server_with_the_users_credentials(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, peer = lull(as_json(an_explanation()))
    (request,) = peer.requests
    assert (code, request.verb, request.path) == (0, "GET", PATH)
    assert request.headers["authorization"] == "Bearer secret"
    assert capsys.readouterr().err == ""


def test_another_release_is_asked_where_it_is() -> None:
    _, peer = lull(as_json(an_explanation()), "--operator-namespace", "ops", "--operator-service", "my-lull-metrics")
    assert peer.requests[0].path.startswith("/api/v1/namespaces/ops/services/my-lull-metrics:metrics/proxy/explain/")


def test_the_json_is_what_the_operator_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The operator's own server answers, behind an API server that passes the question on."""
    story = a_busy_story()
    loop = a_loop(story, goes_on(story, some_signals(33.0)))

    async def ask() -> tuple[int, bytes]:
        async with TestServer(app_for(loop)) as operator:

            def passed_on(request: Request) -> Reply:
                _, _, rest = request.path.partition("/proxy")
                with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}{rest}") as answer:
                    return Reply(answer.read(), answer.status)

            code, _ = await asyncio.to_thread(lull, passed_on, "-o", "json")
            url = f"http://127.0.0.1:{operator.port}/explain/demo/chat"
            return code, await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())

    code, direct = asyncio.run(ask())
    assert code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(direct)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_nor_than_120_columns(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert lull(as_json(an_explanation()))[0] == 0
    widths = [len(line.rstrip()) for line in capsys.readouterr().out.splitlines()]
    assert max(widths) <= min(width, 120)
    assert max(widths) > min(width, 120) * 0.7, "the room is used"


def test_a_person_reads_why(capsys: pytest.CaptureFixture[str]) -> None:
    found = an_explanation()
    lull(as_json(found))
    text = " ".join(capsys.readouterr().out.split())
    assert found["decision"]["sentence"] in text
    assert found["decision"]["reason"] in text
    for heading in (
        "requests/s",
        "Highest rate expected within",
        "Size",
        "Proposal and guards",
        "Who forecasts",
        "Each replica",
        "What would change it next",
    ):
        assert heading in text
    for sentence in found["next"]:
        assert f"- {sentence}" in text
    assert found["forecast"]["horizons"][0]["leader"] in text
    assert f"Who forecasts {duration(found['forecast']['advice']['horizon_s'])} ahead" in text
    assert f"{found['decision']['before']} replicas" in text


def test_a_pipe_gets_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    lull(as_json(an_explanation()))
    assert "\x1b" not in capsys.readouterr().out


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    lull(as_json(an_explanation()))
    assert "\x1b[" in capsys.readouterr().out


def test_a_terminal_without_unicode_gets_ascii() -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(an_explanation(), Console(file=terminal, width=100))
    terminal.seek(0)
    assert "*" in terminal.read()


def with_starts(count: int) -> dict[str, Any]:
    story = a_story()
    story.goes_on(some_signals(5.0))
    uid = story.model.uid
    story.memory.learn_starts([Start(uid, 2.0, 3.0, 175.0, is_cold_node=False)] * count, {uid: 0})
    return explained(story, some_signals(5.0))


@pytest.mark.parametrize(
    ("count", "says", "not_said"),
    [
        pytest.param(
            3, ["scheduling 2 s", "image 3 s", "loading, warm-up 2 min 55 s", "from 2.85 starts"], "no start", id="some"
        ),
        pytest.param(0, ["no start was seen yet"], "scheduling", id="none"),
    ],
)
def test_starts_are_shown_with_what_they_rest_on(
    count: int, says: list[str], not_said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lull(as_json(with_starts(count)))[0] == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in (*says, "half are done within", "19 of 20 within", "nodes without the image"):
        assert part in text
    assert not_said not in text


def test_an_operator_of_before_that_tells_no_starts_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    found = an_explanation()
    del found["starts"]
    assert lull(as_json(found))[0] == 0
    assert "19 of 20 within" not in capsys.readouterr().out


def told_of(model: Any, view: Any) -> Reply:
    return as_json(explanation_of(model, plan_of(view), None, some_settings(), 1_000_000.0))


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        pytest.param(told_of(a_model(), a_view(replicas=None)), "does not exist here", id="no target"),
        pytest.param(told_of(a_model(), a_view(signals=silence())), "demand is unknown", id="nothing known"),
        pytest.param(told_of(a_model(), a_view(replicas=0)), "scaled to zero", id="at zero"),
        pytest.param(as_json(explained(a_story(), silence())), "demand is unknown", id="first round"),
        pytest.param(
            as_json(explained(a_story(prediction="Off", mode="Paused"), some_signals(9.0))), "mode is Paused", id="off"
        ),
    ],
)
def test_little_is_told_of_where_little_is_known(reply: Reply, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lull(reply)[0] == 0
    assert says in " ".join(capsys.readouterr().out.split())


def test_numbers_that_a_later_operator_adds_to_the_evidence_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = an_explanation()
    found["decision"]["evidence"]["capacity_learned_rps"] = 7.25
    lull(as_json(found))
    assert "capacity_learned_rps 7.25" in " ".join(capsys.readouterr().out.split())


FORBIDDEN = (
    'services "lull-metrics:metrics" is forbidden: User "kim" cannot get resource "services/proxy" in API group ""'
    ' in the namespace "lull-system"'
)


@pytest.mark.parametrize(
    ("reply", "code", "says"),
    [
        pytest.param(
            as_json({"message": "there is no InferenceDeployment demo/chat; namespace demo has embed"}, 404),
            2,
            ["no InferenceDeployment demo/chat; namespace demo has embed"],
            id="no such model",
        ),
        pytest.param(
            refused(404, 'services "lull-metrics" not found'),
            1,
            ["there is no operator at Service lull-system/lull-metrics", "--operator-namespace", "--operator-service"],
            id="no operator",
        ),
        pytest.param(
            Reply(b"404: Not Found", 404, "text/plain"), 1, ["older than this command", "upgrade"], id="an old operator"
        ),
        pytest.param(
            refused(403, FORBIDDEN),
            1,
            [
                'User "kim" cannot get resource "services/proxy"',
                "kubectl -n lull-system create role lull-explain --verb=get --resource=services/proxy",
                "--resource-name=lull-metrics:metrics",
                "kubectl -n lull-system create rolebinding lull-explain --role=lull-explain",
            ],
            id="forbidden",
        ),
        pytest.param(refused(401, "Unauthorized"), 1, ["Unauthorized", "log in"], id="unknown person"),
        pytest.param(
            refused(503, 'no endpoints available for service "lull-metrics:metrics"'),
            1,
            ["no endpoints available", "kubectl -n lull-system get pods"],
            id="operator not ready",
        ),
        pytest.param(
            as_json({"message": "demo/chat was not planned yet; ask again in 10 s"}, 503),
            1,
            ["ask again in 10 s"],
            id="not planned yet",
        ),
        pytest.param(Reply(b"<html>", 200, "text/html"), 1, ["no JSON"], id="not an operator"),
    ],
)
def test_what_went_wrong_is_told_with_its_mend(
    reply: Reply, code: int, says: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lull(reply)[0] == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("lull: ")
    assert "Traceback" not in printed.err
    for text in says:
        assert text in printed.err


def test_an_explanation_of_another_version_is_not_guessed_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert lull(as_json({"version": 2}))[0] == 1
    assert "version 2" in capsys.readouterr().err
    assert lull(as_json({"version": 2}), "-o", "json")[0] == 0
    assert json.loads(capsys.readouterr().out) == {"version": 2}


def test_an_api_server_that_is_down_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with kubeconfig(url):
        assert main(["explain", "demo/chat"]) == 1
    assert "gave no answer" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["chat", "demo/", "/chat", "demo/chat/x", "Demo/chat", "demo/../chat", "demo/ch at"])
def test_what_is_no_name_is_refused_before_anybody_is_asked(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", model])
    assert ended.value.code == 2
    assert "write NAMESPACE/NAME, such as demo/chat" in capsys.readouterr().err


def test_without_a_kubeconfig_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    assert main(["explain", "demo/chat"]) == 2
    assert f"there is no kubeconfig at {tmp_path}/none: set KUBECONFIG" in capsys.readouterr().err


def test_a_context_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, peer = lull(as_json({}), "--context", "prod")
    assert (code, peer.requests) == (2, [])
    told = capsys.readouterr().err
    assert "context 'prod' of kubeconfig" in told
    assert "kubectl config get-contexts" in told
