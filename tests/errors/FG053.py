import numpy as np


def affine(x, w, b):
    return np.dot(x, w) + b
