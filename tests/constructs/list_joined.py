"""What is made of a list of steps.

Parts of the list, and `np.array`, `np.stack`, `np.concatenate`, `np.vstack`, `np.hstack` of it.
"""

import numpy as np


def f(x: "T D", h: "D", W: "D D"):
    hs = []
    for t in range(len(x)):
        h = np.tanh(x[t] + h @ W)
        hs.append(h)
    return np.concatenate(hs[1:]) * np.hstack(hs[:-1])
