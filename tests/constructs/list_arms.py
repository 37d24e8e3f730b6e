"""A list that is appended to on every way through a round."""

import numpy as np


def f(x: "T D"):
    parts = []
    for t in range(x.shape[0]):
        if x[t, 0] > 0:
            parts.append(x[t] ** 2)
            continue
        parts.append(-x[t])
    return np.array(parts)
