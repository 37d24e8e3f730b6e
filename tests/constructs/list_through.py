"""A list that a loop fills, gone through by another."""

import numpy as np


def f(x: "T D", h: "D", W: "D D"):
    states = []
    for t in range(x.shape[0]):
        h = np.tanh(x[t] + h @ W)
        states.append(h)
    loss = 0.0
    for state in states:
        loss = loss + np.sum(state**2)
    return loss
