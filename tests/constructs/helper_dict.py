"""A dict that a helper is given more than once.

What each call gives for an entry is added up.
"""

import numpy as np


def rate(y: "N", params):
    return params["growth"] * y - params["decay"] * y**3


def f(y: "N", params, dt: float, steps):
    for _ in range(steps):
        k1 = rate(y, params)
        k2 = rate(y + dt * k1, params)
        y = y + dt * (k1 + k2) / 2
    return y
