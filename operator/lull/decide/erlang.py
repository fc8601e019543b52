"""Slots that work on one request each: how often requests wait in such a queue, and how much it may be given.

A replica is taken as a queue with c slots, exponential service of mean S and arrivals that may be burstier than a
Poisson stream. The wait of a request exceeds t with probability ``C(c/z, a/z) * exp(-(c - a) * t / (z * S))``: Erlang
C with offered load a, and Hayward's approximation for arrivals of peakedness z, by which c slots under peaked load
behave as c/z slots under Poisson load a/z. Its staffing is ``n = R + b * sqrt(z * R)`` (He, Liu and Whitt), and its
decay is the heavy-traffic one of Kingman. With exponential service ``z = (1 + ca^2) / 2``, ca^2 being the squared
coefficient of variation of the gaps between arrivals; 1 for a Poisson stream. Called by ``sizing`` and the other laws.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64

UTILISATION_CAP: Final = 0.9
"""Most a replica is ever planned with; the rest covers what the queueing model leaves out."""

UNREACHABLE_UTILISATION: Final = 0.8
"""Planned with where even an idle replica is too slow: queues stay short, and no energy goes into the impossible.

Where the threshold leaves less wait than the service itself takes, the way there is a ramp: exponential service would
condemn nearly all load that real servers, whose times vary less, carry well, and a service time that is measured
around the threshold must not make the fleet swing between two sizes.
"""

_STEPS: Final = 40


def erlang_c(slots: F64, utilisation: F64) -> F64:
    """Probability that a request finds all slots busy, (N,).

    Args:
        slots: requests worked on at the same time, greater than 0, (N,). Between whole numbers Erlang B is continued
            by its recursion from Szybicki's rational approximation on [0, 1), which is exact at both ends. That is too
            low by itself, so below one slot it is ``utilisation ** slots``, which was above the waits of a single
            server under hyperexponential arrivals at every load.
        utilisation: offered load over slots, 0 to below 1, (N,).
    """
    offered = slots * utilisation
    whole = np.floor(slots)
    part = slots - whole
    at_part = offered * (2.0 - part + offered) / np.where(part > 0.0, part + 2.0 * offered + offered**2, 1.0)
    blocked = np.where(part > 0.0, at_part, 1.0)
    # Rows in order of their slots: the recursion over the number of slots leaves those behind that have enough.
    order = np.argsort(whole, kind="stable")
    needed, left = whole[order], np.arange(int(whole.max(initial=0.0)) + 1)
    first = np.searchsorted(needed, left)
    offered, part, ordered = offered[order], part[order], blocked[order]
    for k in range(1, len(left)):
        at = slice(first[k], None)
        step = offered[at] * ordered[at]
        ordered[at] = step / (part[at] + k + step)
    blocked[order] = ordered
    return np.where(slots < 1.0, utilisation**slots, blocked / (1.0 - utilisation * (1.0 - blocked)))


def late_share(slots: F64, utilisation: F64, wait_over_service: F64, peakedness: F64 | float = 1.0) -> F64:
    """Share of requests that wait longer than allowed, (N,).

    Args:
        slots: requests worked on at the same time, (N,).
        utilisation: offered load over slots, 0 to below 1, (N,).
        wait_over_service: allowed wait in mean service times, (N,).
        peakedness: of the arrivals, (N,) or one for all; 1 = Poisson.
    """
    alike = slots / peakedness
    return erlang_c(alike, utilisation) * np.exp(-alike * (1.0 - utilisation) * wait_over_service)


def utilisation_limit(slots: F64, wait_over_service: F64, miss_ratio: F64, peakedness: F64 | float = 1.0) -> F64:
    """Largest utilisation at which a share of at most ``miss_ratio`` waits longer than allowed, (N,).

    Args:
        slots: requests worked on at the same time, (N,).
        wait_over_service: allowed wait in mean service times, (N,).
        miss_ratio: share of requests that may wait longer, (N,).
        peakedness: of the arrivals, (N,) or one for all; 1 = Poisson.
    """
    low, high = np.zeros_like(slots), np.full_like(slots, UTILISATION_CAP)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        fits = late_share(slots, middle, wait_over_service, peakedness) <= miss_ratio
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low


def slot_limit(slots: F64, service_s: F64, budget_s: F64, miss_ratio: F64, peakedness: F64 | float = 1.0) -> F64:
    """Requests per second at which few wait longer than the budget, or what is planned where that is hopeless, (N,).

    Args:
        slots: requests worked on at the same time, (N,).
        service_s: mean seconds of work on one, (N,); NaN = unknown.
        budget_s: seconds a request may wait, (N,); below 0 even an idle replica is too slow.
        miss_ratio: share of requests that may wait longer, (N,).
        peakedness: of the arrivals, (N,) or one for all; 1 = Poisson.
    """
    wait = np.maximum(budget_s, 0.0) / service_s
    ramp = UNREACHABLE_UTILISATION * np.maximum(1.0 - wait, 0.0)
    return np.maximum(utilisation_limit(slots, wait, miss_ratio, peakedness), ramp) * slots / service_s


def peakedness(variability: F64) -> F64:
    """Peakedness of arrivals at servers with exponential service, (N,).

    Args:
        variability: squared coefficient of variation of the gaps between arrivals, at least 0, (N,); NaN = Poisson.
    """
    return np.where(np.isnan(variability), 1.0, (1.0 + variability) / 2.0)


def spread(variability: F64, replicas: F64) -> F64:
    """Variability of what each of several replicas gets of one stream that is spread over them at random, (N,).

    A share p of a renewal stream, chosen by chance, has ``1 + p * (ca^2 - 1)``: thinning makes any stream more alike
    to a Poisson one.

    Args:
        variability: of the whole stream, (N,); NaN = unknown.
        replicas: that the stream is spread over, at least 1, (N,).
    """
    return 1.0 + (variability - 1.0) / replicas
