"""Several results.

One upstream gradient for each; None means zero.
"""

import numpy as np


def f(x: "N", h: "N", w: "N"):
    c = np.tanh(x + w * h)
    return c, np.sin(c)
