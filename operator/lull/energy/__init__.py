"""Joules: from counters to what each model used, what that costs, and what nobody used.

Called by the planning loop with what ``adapters`` read, which alone convert units. Knows no clock and no network;
whatever is not known is NaN here, and never 0.
"""
