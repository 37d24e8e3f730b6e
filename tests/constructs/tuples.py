"""Tuples, nested and starred.

They fall away: only the names are left.
"""

import numpy as np


def f(x: "N", y: "N", z: "N"):
    (a, b), *rest = (x * y, np.sin(z)), x, y
    return a * b + rest[0] * rest[-1]
