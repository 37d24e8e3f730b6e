"""A function as an argument of one with a loop.

It is copied for each function that it is handed.
"""

import numpy as np


def rnn(cell, x: "T D", w: "D"):
    h = 0.0 * w
    for t in range(x.shape[0]):
        h = cell(h + x[t] * w)
    return h


def f(x: "T D", w: "D"):
    return np.sum(rnn(np.tanh, x, w))
