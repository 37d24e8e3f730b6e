"""A nested function with loops in it.

It becomes a function of the module, which is handed what it reads of the one around it.
"""

import numpy as np


def f(x: "N", w: "N", n):
    def series(z):
        total = z
        for k in range(n):
            total = np.sin(total * w)
        return total

    return np.sum(series(x) * x)
