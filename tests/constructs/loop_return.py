"""`return` inside a loop.

The loop is left, and the result made behind it.
"""

import numpy as np


def f(x: "N", tol: float):
    for _ in range(50):
        new = 0.5 * np.cos(x)
        if np.max(np.abs(new - x)) < tol:
            return new
        x = new
    return x
