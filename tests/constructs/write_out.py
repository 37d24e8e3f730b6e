"""`out=` and `np.fill_diagonal`.

Other spellings of the same.
"""

import numpy as np


def f(x: "N N"):
    h = x * x
    np.exp(h, out=h)
    np.fill_diagonal(h, 0.0)
    return h
