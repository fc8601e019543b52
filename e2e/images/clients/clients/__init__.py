"""Clients as people use them: `python -m clients NAME HOST`; each prints what it saw as one line of JSON."""
