"""`enumerate`.

The number of the step is what backward counts down.
"""

import numpy as np


def f(X: "N D", w: "D"):
    total = 0.0
    for i, row in enumerate(X):
        total += (i + 1) * np.sin(row @ w)
    return total
