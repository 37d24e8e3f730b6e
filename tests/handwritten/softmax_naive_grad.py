"""Flat gradient code for `softmax_loss_naive` in softmax_naive.py, written by hand.

softmax_loss_naive_forward(W, X, y, reg)        -> loss, cache
softmax_loss_naive_backward(dloss, cache)       -> dW
softmax_loss_naive_value_and_grad(W, X, y, reg) -> loss, dW
"""

import numpy as np


def softmax_loss_naive_forward(W, X, y, reg):
    """Softmax loss function, naive implementation (with loops).

    Shapes: W (D, C), X (N, D), y (N,).
    """
    loss = 0.0  # (1)
    num_train = X.shape[0]
    num_classes = W.shape[1]
    all_scores, sums = [], []
    for i in range(num_train):
        scores = X[i].dot(W)  # (2)
        scores -= np.max(scores)  # (3) numeric stability
        sum_exp = 0.0
        for j in range(num_classes):
            sum_exp += np.exp(scores[j])  # (4)
        all_scores.append(scores)
        sums.append(sum_exp)
        loss += -scores[y[i]] + np.log(sum_exp)  # (5)
    loss /= num_train  # (6)
    loss += reg * np.sum(W * W)  # (7)
    return loss, (W, X, y, reg, all_scores, sums)


def softmax_loss_naive_backward(dloss, cache):
    """Gradient of loss: dW (D, C)."""
    W, X, y, reg, all_scores, sums = cache
    # (7) loss += reg * np.sum(W * W)
    dW = dloss * reg * 2 * W
    # (6) loss /= num_train
    dloss = dloss / X.shape[0]
    for i in reversed(range(X.shape[0])):
        # (3)-(5) softmax cross-entropy of scores against y[i]; the maximum falls away
        dscores = dloss * np.exp(all_scores[i]) / sums[i]
        dscores[y[i]] -= dloss
        # (2) scores = X[i].dot(W)
        dW += np.outer(X[i], dscores)
    return dW


def softmax_loss_naive_value_and_grad(W, X, y, reg):
    loss, cache = softmax_loss_naive_forward(W, X, y, reg)
    return loss, softmax_loss_naive_backward(1.0, cache)
