"""Bounds and a step.

Backward runs through the same range, reversed.
"""

import numpy as np


def f(x: "N", lo, hi, step):
    s = 0.0
    for i in range(lo, hi, step):
        s = s * 0.5 + x[i] ** 2
    return s
