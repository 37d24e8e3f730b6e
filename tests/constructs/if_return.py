"""Early `return`.

The rest of the function is the other arm.
"""

import numpy as np


def f(x: "N", t: float):
    if t <= 0:
        return x * 2
    h = np.exp(x / t)
    return h / np.sum(h)
