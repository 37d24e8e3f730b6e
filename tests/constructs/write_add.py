"""`+=` on a part.

What was there stays part of the sum.
"""

import numpy as np


def f(x: "N D", v: "D"):
    h = np.tanh(x)
    h[1:] += v
    return h * h
