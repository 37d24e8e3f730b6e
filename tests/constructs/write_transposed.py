"""Through the transpose.

The array that has the name is what is written to.
"""

import numpy as np


def f(x: "N", sigma: float):
    distances = np.zeros((x.shape[0], x.shape[0]))
    distances[:] = x
    distances.T[:] -= x
    return np.exp(-0.5 * distances**2 / sigma**2)
