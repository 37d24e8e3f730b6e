import numpy as np


def clipped(a):
    b = np.asarray(a)
    return b


def f(x: "N"):
    h = x * 2.0
    s = clipped(h)
    s *= 3.0
    return np.sum(s)
