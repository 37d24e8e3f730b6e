"""Over a range.

What is carried from step to step hands its gradient back; a parameter that every step reads collects it from zeros.
"""

import numpy as np


def f(x: "D", W: "D D", T):
    h = x
    for t in range(T):
        h = np.tanh(h @ W)
    return h
