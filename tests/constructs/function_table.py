"""A dict of functions.

At the head of the module, under a key that is known.
"""

import numpy as np

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda v: np.maximum(v, 0),
}


def f(x: "N D", W: "D M"):
    return np.sum(ACTIVATIONS["relu"](ACTIVATIONS["tanh"](x @ W) - 0.1))
