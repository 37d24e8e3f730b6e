import numpy as np


def f(x: "N, +"):
    return np.sum(x * x)
