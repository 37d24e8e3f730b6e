import numpy as np


def f(x, w):
    def layer(v):
        for _ in range(3):
            v = np.tanh(v @ w)
        return v

    return np.sum(layer(x))
