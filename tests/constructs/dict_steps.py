"""A dict of steps.

Read one step back, and at `-1`, where it begins.
"""

import numpy as np


def f(x: "T N", h0: "N", W: "N N"):
    hs = {}
    hs[-1] = h0
    T = x.shape[0]
    for t in range(T):
        hs[t] = np.tanh(x[t] + hs[t - 1] @ W)
    return hs[T - 1]
