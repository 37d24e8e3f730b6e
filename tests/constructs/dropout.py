"""A random draw.

It is a constant: drawn once, kept, and not drawn again.
"""

import numpy as np


def f(x: "N D", p=0.5, train=True):
    if train:
        mask = (np.random.rand(*x.shape) < p) / p
        x = x * mask
    return x
