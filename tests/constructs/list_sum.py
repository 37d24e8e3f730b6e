"""A sum over a list.

Each element gets the gradient of the sum.
"""

import numpy as np


def f(x: "T N", y: "T N", w: "N"):
    losses = []
    for t in range(x.shape[0]):
        e = np.tanh(x[t] * w) - y[t]
        losses.append(np.sum(e * e))
    return sum(losses)
