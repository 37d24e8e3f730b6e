"""Flat gradient code for `svm_loss_naive` in svm_naive.py, written by flatgrad 0.1.0 (--wrt W).

svm_loss_naive_forward(W, X, y, reg)        -> loss, cache
svm_loss_naive_backward(dloss, cache)       -> dW
svm_loss_naive_value_and_grad(W, X, y, reg) -> loss, dW

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def svm_loss_naive_forward(W, X, y, reg):
    """
    Structured SVM loss function, naive implementation (with loops).

    Inputs have dimension D, there are C classes, and we operate on minibatches of N examples.

    Inputs:
    - W: A numpy array of shape (D, C) containing weights.
    - X: A numpy array of shape (N, D) containing a minibatch of data.
    - y: A numpy array of shape (N,) containing training labels; y[i] = c means that X[i] has label c.
    - reg: (float) regularization strength

    Returns a tuple of:
    - loss as single float
    - gradient with respect to weights W; an array of same shape as W
    """
    if (
        W.ndim != 2
        or X.ndim != 2
        or X.shape[1] != W.shape[0]
        or np.shape(y) != X.shape[:1]
        or np.ndim(reg) != 0
    ):
        raise ValueError("shapes must be W (D, C), X (N, D), y (N,) and reg a scalar")

    # compute the loss and the gradient
    num_classes = W.shape[1]
    num_train = X.shape[0]
    loss = 0.0  # (1)
    scores_steps = []
    margins = {}
    for i in range(num_train):
        scores = X[i].dot(W)  # (2)
        scores_steps.append(scores)
        correct_class_score = scores[y[i]]  # (3)
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct_class_score + 1  # (4) note delta = 1
            margins[i, j] = margin
            if margin > 0:
                loss += margin  # (5)

    # Right now the loss is a sum over all training examples, but we want it to be an average instead.
    loss /= num_train  # (6)

    # Add regularization to the loss.
    loss += reg * np.sum(W * W)  # (7)

    return loss, (W, X, y, reg, scores_steps, margins)


def svm_loss_naive_backward(dloss, cache):
    """Gradient of loss: dW (D, C)."""
    W, X, y, reg, scores_steps, margins = cache
    num_train = X.shape[0]
    num_classes = W.shape[1]
    # (7) loss += reg * np.sum(W * W)
    dW = dloss * reg * 2 * W
    # (6) loss /= num_train
    dloss = dloss / num_train
    for i in reversed(range(num_train)):
        dcorrect_class_score = 0.0
        dscores = np.zeros(scores_steps[i].shape, np.result_type(scores_steps[i], 0.0))
        for j in reversed(range(num_classes)):
            if j == y[i]:
                continue
            if margins[i, j] > 0:
                # (5) loss += margin
                dmargin = dloss
                # (4) margin = scores[j] - correct_class_score + 1
                dcorrect_class_score -= dmargin
                dscores[j] += dmargin
        # (3) correct_class_score = scores[y[i]]
        dscores[y[i]] += dcorrect_class_score
        # (2) scores = X[i].dot(W)
        dW += np.outer(X[i], dscores)
    return dW


def svm_loss_naive_value_and_grad(W, X, y, reg):
    loss, cache = svm_loss_naive_forward(W, X, y, reg)
    return loss, svm_loss_naive_backward(1.0, cache)
