import numpy as np


def f(x, k):
    return np.diff(x, n=k)
