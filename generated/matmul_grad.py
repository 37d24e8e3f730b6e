"""Flat gradient code for `matmul` in matmul.py, written by flatgrad 0.1.0.

matmul_forward(W, X)       -> D, cache
matmul_backward(dD, cache) -> dW, dX

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def matmul_forward(W, X):
    """Shapes: W (M, K), X (K, N)."""
    if W.ndim != 2 or np.ndim(X) != 2:
        raise ValueError("shapes must be W (M, K) and X (K, N)")
    D = W.dot(X)  # (1)
    return D, (W, X)


def matmul_backward(dD, cache):
    """Gradients from dD (M, N): dW (M, K), dX (K, N)."""
    W, X = cache
    # (1) D = W.dot(X)
    dW = dD @ X.T
    dX = W.T @ dD
    return dW, dX
