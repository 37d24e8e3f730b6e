"""Over a list that is written out.

A list of a known length is gone through step by step.
"""

import numpy as np


def f(x: "N D", W1: "D H", W2: "H M"):
    h = x
    for W in [W1, W2]:
        h = np.tanh(h @ W)
    return h
