"""`and`, `or`, `not`, `in`.

Tests carry no gradient.
"""

import numpy as np


def f(x: "N", param):
    h = x
    if "scale" in param and not param["off"]:
        h = h * param["scale"]
    return np.sum(np.sin(h))
