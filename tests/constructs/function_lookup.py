"""A function that is looked up when the program runs.

Under a key that a parameter or an attribute holds: forward asks which it is, and so does backward.
"""

import numpy as np

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda v: np.maximum(v, 0),
}


def f(x: "N D", W: "D M", kind="tanh"):
    h = ACTIVATIONS[kind](x @ W)
    return np.sum(h * h)
