"""The positions of a list that is written out.

What they decide is decided when the module is written.
"""

import numpy as np


def f(x: "N D", W1, W2, W3):
    weights = [W1, W2, W3]
    for i, W in enumerate(weights):
        x = x @ W
        if i < len(weights) - 1:
            x = np.maximum(x, 0)
    return x
