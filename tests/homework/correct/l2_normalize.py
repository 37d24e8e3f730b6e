import numpy as np

def normalize_forward(x):
    """x of shape (N, D); every row is divided by its length"""
    sq = np.sum(x * x, axis=1, keepdims=True)
    length = np.sqrt(sq)
    inv = 1.0 / length
    out = x * inv
    return out, (x, sq, length, inv, out)

def normalize_backward(dout, cache):
    x, sq, length, inv, out = cache
    dx = dout * inv
    dinv = np.sum(dout * x, axis=1, keepdims=True)
    dlength = -dinv / length ** 2
    dsq = dlength * 0.5 / length
    dx += 2 * x * dsq
    return dx
