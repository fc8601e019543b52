"""Conclusions to plain values: manifests, statuses, Events and sentences. Pure; nothing is sent from here."""
