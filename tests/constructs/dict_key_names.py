"""Keys that have names.

A list of them may be gone through where the line stands.
"""

import numpy as np


def f(x: "N D", params, L):
    for i in range(1, L + 1):
        keys = [f"W{i}", f"b{i}"]
        W, b = (params[key] for key in keys)
        x = np.tanh(x @ W + b)
    return x
