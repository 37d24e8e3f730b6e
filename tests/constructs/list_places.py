"""A list that is filled place by place.

`hs = [None] * T` is read as the list to which the rounds append.
"""

import numpy as np


def f(x: "T D", h: "D", W: "D D"):
    T = len(x)
    hs = [None] * T
    for t in range(T):
        before = hs[t - 1] if t > 0 else h
        hs[t] = np.tanh(x[t] + before @ W)
    return np.array(hs)
