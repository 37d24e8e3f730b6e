"""Nested loops.

To any depth; each runs backward, the inner one inside the outer one.
"""

import numpy as np


def f(x: "N N", w: "K K"):
    N, K = x.shape[0], w.shape[0]
    out = np.zeros((N - K + 1, N - K + 1))
    for i in range(N - K + 1):
        for j in range(N - K + 1):
            out[i, j] = np.sum(x[i : i + K, j : j + K] * w)
    return out
