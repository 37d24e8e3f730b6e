"""A write over something.

What was there before gets no gradient from what is written over it.
"""

import numpy as np


def f(x: "N D", v: "D"):
    h = np.tanh(x)
    h[0] = v
    return h * h
