"""A list of tuples of steps.

The next round, and what comes behind the loop, reads the last one.
"""

import numpy as np


def f(x: "T D", h: "D", W: "D D"):
    states = [(h, 0.5 * h)]
    for t in range(len(x)):
        h, c = states[-1]
        c = 0.9 * c + np.tanh(x[t] + h @ W)
        states.append((np.tanh(c), c))
    h, c = states[-1]
    return h * c
