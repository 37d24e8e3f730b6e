import numpy as np


def f(x, w):
    layer = lambda v: v if np.sum(v) > 0 else v * w
    return np.sum(layer(x))
