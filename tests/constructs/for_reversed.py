"""Reversed.

Backward through a reversed range runs forward.
"""

import numpy as np


def f(x: "T", gamma: float):
    R = 0.0
    for t in reversed(range(len(x))):
        R = x[t] + gamma * R
    return R
