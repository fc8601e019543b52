"""Start MLServer so that it finishes what it has begun.

MLServer 1.7.1 on SIGTERM closes its worker pool first: measured, of twelve requests in flight three were
answered, nine never, and the process hung for over a minute. Here the front doors close first, the pool last.
Run `mlserver start /models` instead to see the server as it comes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time

from mlserver import MLServer
from mlserver.cli.serve import load_settings
from mlserver.utils import install_uvloop_event_loop

# Below the 30 s a pod is given to end, so that we stop by ourselves and are not killed.
DRAIN_AT_MOST_S = 20.0


class DrainingServer(MLServer):  # type: ignore[misc]  # MLServer ships no types
    """MLServer whose stop answers the requests in flight before it takes their workers away."""

    _is_stopping = False

    async def stop(self, sig: int | None = None) -> None:
        # Each uvicorn server raises the signal again once it has ended: one stop is enough.
        if self._is_stopping:
            return
        self._is_stopping = True
        await self._rest_server.stop(sig)
        await asyncio.gather(self._wait_for_rest(), self._grpc_server.stop(sig))
        await super().stop(sig)

    async def _wait_for_rest(self) -> None:
        state = self._rest_server._server.server_state  # noqa: SLF001 - uvicorn tells it nowhere else
        give_up_s = time.monotonic() + DRAIN_AT_MOST_S
        while (state.connections or state.tasks) and time.monotonic() < give_up_s:  # noqa: ASYNC110 - nor by event
            await asyncio.sleep(0.05)


def forget_former_run() -> None:
    """Delete the metrics of a run that died.

    They are files named by process id, and a restarted container starts again at 1: it would count on from
    the numbers of the former run, and report its unfinished requests as in progress for ever.
    """
    metrics_folder = os.environ.get("MLSERVER_METRICS_DIR")
    if metrics_folder:
        shutil.rmtree(metrics_folder, ignore_errors=True)


async def serve(models_folder: str) -> None:
    settings, models_settings = await load_settings(models_folder)
    await DrainingServer(settings).start(models_settings)


if __name__ == "__main__":
    forget_former_run()
    install_uvloop_event_loop()
    asyncio.run(serve(sys.argv[1]))
