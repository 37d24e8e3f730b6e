"""Flat gradient code for `neuron` in neuron.py, written by flatgrad 0.1.0.

neuron_forward(w, x)        -> f, cache
neuron_backward(df, cache)  -> dw, dx
neuron_value_and_grad(w, x) -> f, (dw, dx)

Between forward and backward the caller leaves arguments and results as they are.
"""

import math

import numpy as np


def neuron_forward(w, x):
    """A sigmoid neuron with two inputs: weights w = [w0, w1, bias], inputs x = [x0, x1]."""
    dot = w[0] * x[0] + w[1] * x[1] + w[2]  # (1)
    f = 1.0 / (1 + math.exp(-dot))  # (2) sigmoid function
    return f, (w, x, f)


def neuron_backward(df, cache):
    w, x, f = cache
    # (2) f = 1.0 / (1 + math.exp(-dot))
    ddot = df * f * (1 - f)
    # (1) dot = w[0] * x[0] + w[1] * x[1] + w[2]
    dw = np.zeros(np.shape(w), np.result_type(ddot, x[0]))
    dw[0] += ddot * x[0]
    dx = np.zeros(np.shape(x), np.result_type(ddot, w[0]))
    dx[0] += ddot * w[0]
    dw[1] += ddot * x[1]
    dx[1] += ddot * w[1]
    dw[2] += ddot
    return dw, dx


def neuron_value_and_grad(w, x):
    f, cache = neuron_forward(w, x)
    return f, neuron_backward(1.0, cache)
