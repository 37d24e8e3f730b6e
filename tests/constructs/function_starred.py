"""`*args` and `**kwargs`

Of a helper whose calls say what they are.
"""

import numpy as np


def weighted(*parts, **weights):
    total = 0.0
    for part in parts:
        total = total + weights["scale"] * part**2
    return total


def f(x: "N", y: "N", scale: float):
    return np.sum(weighted(x, y, scale=scale) * x)
