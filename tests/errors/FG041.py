import numpy as np


def f(x):
    y = np.tanh(x)
    row = y[0]
    y[0, 0] = 0
    return np.sum(row) + np.sum(y)
