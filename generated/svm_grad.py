"""Flat gradient code for `svm_loss` in svm.py, written by flatgrad 0.1.0 (--wrt W,X).

svm_loss_forward(W, X, y, reg)        -> loss, cache
svm_loss_backward(dloss, cache)       -> dW, dX
svm_loss_value_and_grad(W, X, y, reg) -> loss, (dW, dX)

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def svm_loss_forward(W, X, y, reg):
    """Multiclass hinge loss.

    Inputs:
    - W: weights of shape (D, C)
    - X: a minibatch of shape (N, D)
    - y: integer labels of shape (N,)
    - reg: regularisation strength
    """
    if np.ndim(W) != 2 or X.ndim != 2 or np.shape(y) != X.shape[:1] or np.ndim(reg) != 0:
        raise ValueError("shapes must be W (D, C), X (N, D), y (N,) and reg a scalar")
    N = X.shape[0]
    scores = X @ W  # (1)
    correct = scores[np.arange(N), y][:, np.newaxis]  # (2)
    margins = np.maximum(0, scores - correct + 1.0)  # (3)
    active = margins > 0
    margins[np.arange(N), y] = 0  # (4)
    loss = np.sum(margins) / N  # (5)
    loss += reg * np.sum(W * W)  # (6)
    return loss, (W, X, y, reg, active, margins)


def svm_loss_backward(dloss, cache):
    """Gradients of loss: dW (D, C), dX (N, D)."""
    W, X, y, reg, active, margins = cache
    N = X.shape[0]
    # (6) loss += reg * np.sum(W * W)
    dW = dloss * reg * 2 * W
    # (5) loss = np.sum(margins) / N
    dmargins = np.full_like(margins, dloss / N)
    # (4) margins[np.arange(N), y] = 0
    dmargins[np.arange(N), y] = 0
    # (3) margins = np.maximum(0, scores - correct + 1.0)
    dscores = dmargins * active
    dcorrect = -dscores.sum(axis=1, keepdims=True)
    # (2) correct = scores[np.arange(N), y][:, np.newaxis]
    dscores[np.arange(N), y] += dcorrect[:, 0]
    # (1) scores = X @ W
    dX = dscores @ W.T
    dW += X.T @ dscores
    return dW, dX


def svm_loss_value_and_grad(W, X, y, reg):
    loss, cache = svm_loss_forward(W, X, y, reg)
    return loss, svm_loss_backward(1.0, cache)
