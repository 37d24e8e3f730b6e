"""A list of steps.

A list that forward builds anyway is what backward reads.
"""

import numpy as np


def f(x: "T N", h: "N", W: "N N"):
    hs = []
    for t in range(x.shape[0]):
        h = np.tanh(x[t] + h @ W)
        hs.append(h)
    return np.stack(hs)
