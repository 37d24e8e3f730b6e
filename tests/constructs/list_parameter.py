"""A list of arrays as a parameter.

Its gradient is a list, too; an annotation says that it is one, or its name and its use do.
"""

import numpy as np


def f(weights: list, biases: list, x: "N D"):
    for W, b in zip(weights[:-1], biases[:-1]):
        x = np.tanh(x @ W + b)
    return x @ weights[-1] + biases[-1]
