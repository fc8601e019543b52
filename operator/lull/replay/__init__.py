"""The proof without a cluster: recorded traffic against policies, and the least energy any schedule could have used.

Called by ``cli``. Time is an argument and chance comes from a seed; nothing here knows a cluster, a network or a clock.
"""
