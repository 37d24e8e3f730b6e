"""`:=`

A statement of its own, before.
"""

import numpy as np


def f(x: "N", w: "N"):
    if (n := x.shape[0]) > 2:
        return np.sum(x * w) / n
    return (s := np.sum(x)) * s * np.sum(w)
