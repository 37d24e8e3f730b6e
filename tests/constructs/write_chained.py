"""Several targets in one assignment.

They are bound one after the other, to what stands on the right.
"""

import numpy as np


def f(x: "N", y: "N"):
    table = np.zeros((2, x.shape[0]))
    table[0] = table[1] = x * y
    table[1] *= x
    return np.sum(table * y)
