"""A helper that writes into what it is given.

It may, where nobody reads that afterwards.
"""

import numpy as np


def softmax(x):
    x -= np.max(x)
    x = np.exp(x)
    return x / np.sum(x)


def f(W: "C D", x: "D", y):
    p = softmax(W @ x)
    return -np.log(p[y])
