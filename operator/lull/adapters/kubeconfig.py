"""The API server as a person at a terminal reaches it: by kubeconfig, with the contexts and credentials in it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes.aio import client, config
from kubernetes.aio.config import kube_config

from lull.adapters.api import Api, plain_configuration
from lull.errors import SettingsError

_WRITES_PER_S: Final = 20.0

# What the library lets through of a file that is no kubeconfig; it checks little itself.
_UNREADABLE: Final = (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError)


@asynccontextmanager
async def as_user(context: str | None = None) -> AsyncIterator[Api]:
    """A connection with the credentials of a kubeconfig.

    Args:
        context: which of its contexts; None = the current one.

    Raises:
        SettingsError: there is none, it cannot be read, or it has no such context.
    """
    paths = _paths()
    async with await _connection(context, paths) as connection:
        yield Api(connection, _WRITES_PER_S)


def _paths() -> str:
    """Where kubeconfigs are looked for, as people write it.

    Raises:
        SettingsError: none of them is there.
    """
    named = [Path(path).expanduser() for path in kube_config.KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep) if path]
    text = ", ".join(map(str, named))
    if not any(path.exists() for path in named):
        raise SettingsError([f"there is no kubeconfig at {text}: set KUBECONFIG to yours, or log in to the cluster"])
    return text


async def _connection(context: str | None, paths: str) -> Any:
    settings = plain_configuration()
    try:
        await config.load_kube_config(context=context, client_configuration=settings, persist_config=False)
        return client.ApiClient(configuration=settings)
    except _UNREADABLE as error:
        which = f"context {context!r} of kubeconfig {paths}" if context else f"kubeconfig {paths}"
        why = " ".join(str(error).split()) or type(error).__name__
        raise SettingsError(
            [f"{which} cannot be used: {why}; kubectl config get-contexts tells what there is"]
        ) from error
