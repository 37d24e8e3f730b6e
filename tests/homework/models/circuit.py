import numpy as np


def circuit(x: float, y: float):
    """f = (x + sigmoid(y)) / (sigmoid(x) + (x + y)**2)"""
    sigy = 1 / (1 + np.exp(-y))
    sigx = 1 / (1 + np.exp(-x))
    f = (x + sigy) / (sigx + (x + y) ** 2)
    return f
