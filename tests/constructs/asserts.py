"""`assert` and `raise`.

They stay in forward and carry no gradient.
"""

import numpy as np


def f(x: "N", p: float):
    assert x.ndim == 1
    if p <= 0:
        raise ValueError("p must be positive")
    return np.sum(np.abs(x) ** 3) / p
