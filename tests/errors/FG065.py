import numpy as np


def f(x):
    h = np.tanh(x)
    cache = (x, h)
    return h, cache
