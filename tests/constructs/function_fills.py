"""A nested function that changes something of the one around it.

It is written out where it is called.
"""

import numpy as np


def f(x: "T N", w: "N"):
    hs = []

    def step(t):
        hs.append(np.tanh(x[t] * w))

    for t in range(x.shape[0]):
        step(t)
    return np.sum(np.array(hs))
