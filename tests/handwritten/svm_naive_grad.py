"""Flat gradient code for `svm_loss_naive` in svm_naive.py, written by hand.

svm_loss_naive_forward(W, X, y, reg)        -> loss, cache
svm_loss_naive_backward(dloss, cache)       -> dW
svm_loss_naive_value_and_grad(W, X, y, reg) -> loss, dW
"""

import numpy as np


def svm_loss_naive_forward(W, X, y, reg):
    """Structured SVM loss function, naive implementation (with loops).

    Shapes: W (D, C), X (N, D), y (N,).
    """
    # compute the loss
    num_classes = W.shape[1]
    num_train = X.shape[0]
    loss = 0.0
    margins = np.zeros((num_train, num_classes))
    for i in range(num_train):
        scores = X[i].dot(W)  # (1)
        correct_class_score = scores[y[i]]  # (2)
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct_class_score + 1  # (3) note delta = 1
            margins[i, j] = margin
            if margin > 0:
                loss += margin  # (4)

    # Right now the loss is a sum over all training examples, but we want it to be an average instead.
    loss /= num_train  # (5)

    # Add regularization to the loss.
    loss += reg * np.sum(W * W)  # (6)

    return loss, (W, X, y, reg, margins)


def svm_loss_naive_backward(dloss, cache):
    """Gradient of loss: dW (D, C)."""
    W, X, y, reg, margins = cache
    num_train, num_classes = margins.shape
    # (6) loss += reg * np.sum(W * W)
    dW = dloss * reg * 2 * W
    # (5) loss /= num_train
    dmargin = dloss / num_train
    for i in reversed(range(num_train)):
        dscores = np.zeros(num_classes)
        for j in reversed(range(num_classes)):
            if j == y[i]:
                continue
            if margins[i, j] > 0:
                # (2), (3) margin = scores[j] - correct_class_score + 1
                dscores[j] += dmargin
                dscores[y[i]] -= dmargin
        # (1) scores = X[i].dot(W)
        dW += np.outer(X[i], dscores)
    return dW


def svm_loss_naive_value_and_grad(W, X, y, reg):
    loss, cache = svm_loss_naive_forward(W, X, y, reg)
    return loss, svm_loss_naive_backward(1.0, cache)
