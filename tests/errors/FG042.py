import numpy as np


def clear(h):
    h[0] = 0
    return h


def f(x):
    h = np.tanh(x)
    return np.sum(clear(h)) * np.sum(h)
