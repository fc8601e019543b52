"""The activator's conclusions: who may wait and how long, whom to let go when, what is nobody's wish for an answer."""
