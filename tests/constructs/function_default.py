"""A function as the default of a parameter."""

import numpy as np


def dense(x, W, activation=np.tanh):
    return activation(x @ W)


def net_forward(x: "N D", W1: "D H", W2: "H M"):
    return dense(dense(x, W1), W2, np.sin)
