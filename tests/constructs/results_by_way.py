"""More results on one way than on another.

Those that every way returns are differentiated; the others fall away, with a note.
"""

import numpy as np


def f(x: "N", decay: float, full=False):
    weighted = decay * x**2
    loss = np.sum(weighted)
    if full:
        return loss, weighted
    return loss
