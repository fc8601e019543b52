"""Lull: a Kubernetes operator that lets inference fleets rest."""
