"""Printing and logging.

They stay where they are, in forward alone.
"""

import numpy as np


def f(x: "N", T):
    for t in range(T):
        x = x - 0.1 * np.sin(x)
        if t % 2 == 0:
            print("step", t, np.sum(x))
    return x
