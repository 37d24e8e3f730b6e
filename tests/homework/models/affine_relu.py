import numpy as np


def affine_forward(x, w: "D M", b: "M"):
    """x has shape (N, d_1, ..., d_k), with D = d_1 * ... * d_k."""
    out = x.reshape(x.shape[0], -1) @ w + b
    return out


def relu_forward(x):
    return np.maximum(x, 0)


def affine_relu_forward(x, w: "D M", b: "M"):
    a = affine_forward(x, w, b)
    out = relu_forward(a)
    return out
