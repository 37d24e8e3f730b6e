import numpy as np


def f(x):
    rows = [np.tanh(row) for row in x]
    return np.sum(rows[0])
