"""A loop variable after its loop.

It keeps the value of the last step.
"""

import numpy as np


def f(x: "N"):
    s = 0.0
    for i in range(x.shape[0]):
        s = s + x[i] ** 2
    return s * x[i]
