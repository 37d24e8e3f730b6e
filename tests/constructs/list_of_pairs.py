"""A list of tuples of arrays.

Its gradient is a list of lists, to which every place that reads an element adds.
"""

import numpy as np


def f(params, x: "N D"):
    for W, b in params:
        x = np.tanh(x @ W + b)
    return np.sum(x) + 0.5 * sum(np.sum(W**2) for W, b in params)
