"""A helper, called in a loop.

It gets a pair of its own; its caches are kept by step.
"""

import numpy as np


def step(x: "N", h: "N", W: "N N"):
    return np.tanh(x + h @ W)


def f(x: "T N", h: "N", W: "N N"):
    for t in range(x.shape[0]):
        h = step(x[t], h, W)
    return h
