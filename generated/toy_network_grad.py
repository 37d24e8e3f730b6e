"""Flat gradient code for toy_network.py, written by flatgrad 0.1.0.

sigmoid_forward(z)                                       -> out, cache
sigmoid_backward(dout, cache)                            -> dz
sigmoid_value_and_grad(z)                                -> out, dz
toy_network_forward(x, y, w1, b1, w2, b2, w3, b3)        -> cost, cache
toy_network_backward(dcost, cache)                       -> dx, dy, dw1, db1, dw2, db2, dw3, db3
toy_network_value_and_grad(x, y, w1, b1, w2, b2, w3, b3) -> cost, (dx, dy, dw1, db1, dw2, db2, dw3, db3)

Between forward and backward the caller leaves arguments and results as they are.
"""

import math

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + math.exp(-z))


def sigmoid_forward(z):
    out = 1.0 / (1.0 + math.exp(-z))  # (1)
    return out, out


def sigmoid_backward(dout, cache):
    """Gradient of out: dz ()."""
    out = cache
    # (1) out = 1.0 / (1.0 + math.exp(-z))
    dz = dout * out * (1 - out)
    return dz


def sigmoid_value_and_grad(z):
    out, cache = sigmoid_forward(z)
    return out, sigmoid_backward(1.0, cache)


def toy_network_forward(x, y, w1, b1, w2, b2, w3, b3):
    """Four layers of one neuron each: the input x, two hidden neurons, the output; the cost is the squared error."""
    z1 = w1 * x + b1  # (1)
    a1 = sigmoid(z1)  # (2)
    z2 = w2 * a1 + b2  # (3)
    a2 = sigmoid(z2)  # (4)
    z3 = w3 * a2 + b3  # (5)
    a3 = sigmoid(z3)  # (6)
    cost = (a3 - y) ** 2  # (7)
    return cost, (x, y, w1, w2, w3, a1, a2, a3)


def toy_network_backward(dcost, cache):
    """Gradients from dcost: dx (), dy like y, dw1 (), db1 (), dw2 (), db2 (), dw3 (), db3 ()."""
    x, y, w1, w2, w3, a1, a2, a3 = cache
    # (7) cost = (a3 - y) ** 2
    dcost_diff = dcost * 2 * (a3 - y)
    da3 = np.sum(dcost_diff)
    dy = -dcost_diff
    # (6) a3 = sigmoid(z3)
    dz3 = da3 * a3 * (1 - a3)
    # (5) z3 = w3 * a2 + b3
    dw3 = dz3 * a2
    da2 = dz3 * w3
    db3 = dz3
    # (4) a2 = sigmoid(z2)
    dz2 = da2 * a2 * (1 - a2)
    # (3) z2 = w2 * a1 + b2
    dw2 = dz2 * a1
    da1 = dz2 * w2
    db2 = dz2
    # (2) a1 = sigmoid(z1)
    dz1 = da1 * a1 * (1 - a1)
    # (1) z1 = w1 * x + b1
    dw1 = dz1 * x
    dx = dz1 * w1
    db1 = dz1
    return dx, dy, dw1, db1, dw2, db2, dw3, db3


def toy_network_value_and_grad(x, y, w1, b1, w2, b2, w3, b3):
    cost, cache = toy_network_forward(x, y, w1, b1, w2, b2, w3, b3)
    if np.ndim(cost) != 0:
        raise ValueError(f"cost has the shape {np.shape(cost)}, a scalar is needed")
    return cost, toy_network_backward(1.0, cache)
