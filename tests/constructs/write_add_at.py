"""`np.add.at`.

Repeated indices add up; backward reads each of them.
"""

import numpy as np


def f(v: "T D", i: "T int", x: "N D"):
    out = np.tanh(x)
    np.add.at(out, i, v)
    return out * out
