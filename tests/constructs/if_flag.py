"""`if` on a flag.

Backward asks the same question.
"""

import numpy as np


def f(x: "N D", w: "D", train):
    h = x * w
    if train:
        h = np.tanh(h)
    return h
