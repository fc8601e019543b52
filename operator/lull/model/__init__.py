"""Frozen values: what was asked for, what was seen, what was concluded. No behaviour lives here."""
