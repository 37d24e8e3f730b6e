"""`lambda` and nested functions.

They are written out where they are called.
"""

import numpy as np


def f(x: "N", w: "N"):
    sigmoid = lambda v: 1 / (1 + np.exp(-v))

    def unit(v):
        return sigmoid(v * w)

    return unit(x) * unit(x * x)
