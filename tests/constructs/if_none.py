"""`is None`.

An argument that may be None is given a default inside.
"""

import numpy as np


def f(x: "N D", w: "D", mask: "N D" = None):
    h = x * w
    if mask is not None:
        h = h * mask
    return np.sum(h**2)
