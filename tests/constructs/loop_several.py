"""Several carried values.

Each has its own gradient, handed on as the values are.
"""

import numpy as np


def f(x: "T N", h: "N", c: "N", w: "N"):
    for t in range(x.shape[0]):
        c = c * 0.9 + np.tanh(x[t] + w * h)
        h = np.sin(c)
    return h
