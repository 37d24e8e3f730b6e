import numpy as np


def f(x):
    rows = [np.tanh(row) for row in x]
    rows.sort()
    return np.sum(rows[0])


def g(x, n):
    for _ in range(n):
        x = np.tanh(x)
        if np.sum(x) < 0:
            return x
    else:
        return np.sum(x)
