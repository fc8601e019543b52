"""Lull: a Kubernetes operator that lets inference fleets rest."""

from importlib.metadata import version

__version__ = version("lull-operator")
