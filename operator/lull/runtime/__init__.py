"""The running operator: the loop that plans and acts, the handlers that feed it, the servers beside it."""
