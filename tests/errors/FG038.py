import numpy as np


def f(x, w):
    params = {"W1": w, "scale": 2.0}
    return np.sum(x @ params["W2"])
