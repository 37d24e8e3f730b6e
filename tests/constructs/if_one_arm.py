"""A value that one arm binds.

Where the other arm ran, there is nothing to hand back.
"""

import numpy as np


def f(x: "N", w: "N", gate):
    h = x * w
    if gate:
        g = 1 / (1 + np.exp(-x))
        h = g * h
    return h
