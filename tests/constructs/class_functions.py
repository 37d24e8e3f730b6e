"""A class of functions.

Static methods that are called by the name of their class.
"""

import numpy as np


class F:
    @staticmethod
    def relu(x):
        return np.maximum(0, x)

    @staticmethod
    def softmax(x: "N C"):
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True)


def f(x: "N D", W: "D M"):
    return np.sum(F.softmax(F.relu(x @ W)) ** 2)
