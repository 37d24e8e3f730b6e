"""Flat gradient code for `softmax_loss_naive` in softmax_naive.py, written by flatgrad 0.1.0 (--wrt W).

softmax_loss_naive_forward(W, X, y, reg)        -> loss, cache
softmax_loss_naive_backward(dloss, cache)       -> dW
softmax_loss_naive_value_and_grad(W, X, y, reg) -> loss, dW

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def softmax_loss_naive_forward(W, X, y, reg):
    """
    Softmax loss function, naive implementation (with loops).

    Inputs:
    - W: A numpy array of shape (D, C) containing weights.
    - X: A numpy array of shape (N, D) containing a minibatch of data.
    - y: A numpy array of shape (N,) containing training labels; y[i] = c means that X[i] has label c.
    - reg: (float) regularization strength
    """
    if (
        W.ndim != 2
        or X.ndim != 2
        or X.shape[1] != W.shape[0]
        or np.shape(y) != X.shape[:1]
        or np.ndim(reg) != 0
    ):
        raise ValueError("shapes must be W (D, C), X (N, D), y (N,) and reg a scalar")
    loss = 0.0  # (1)
    num_train = X.shape[0]
    num_classes = W.shape[1]
    sum_exps = []
    sum_exp_exps = {}
    scores_steps = []
    scores_maxs = []
    scores_steps2 = []
    for i in range(num_train):
        scores = X[i].dot(W)  # (2)
        scores_steps.append(scores.copy())
        scores_max = np.max(scores)
        scores_maxs.append(scores_max)
        scores -= scores_max  # (3) numeric stability
        scores_steps2.append(scores)
        sum_exp = 0.0  # (4)
        for j in range(num_classes):
            sum_exp_exp = np.exp(scores[j])
            sum_exp_exps[i, j] = sum_exp_exp
            sum_exp += sum_exp_exp  # (5)
        sum_exps.append(sum_exp)
        loss += -scores[y[i]] + np.log(sum_exp)  # (6)
    loss /= num_train  # (7)
    loss += reg * np.sum(W * W)  # (8)
    return loss, (W, X, y, reg, sum_exps, sum_exp_exps, scores_steps, scores_maxs, scores_steps2)


def softmax_loss_naive_backward(dloss, cache):
    """Gradient of loss: dW (D, C)."""
    W, X, y, reg, sum_exps, sum_exp_exps, scores_steps, scores_maxs, scores_steps2 = cache
    num_train = X.shape[0]
    num_classes = W.shape[1]
    # (8) loss += reg * np.sum(W * W)
    dW = dloss * reg * 2 * W
    # (7) loss /= num_train
    dloss = dloss / num_train
    for i in reversed(range(num_train)):
        # (6) loss += -scores[y[i]] + np.log(sum_exp)
        dscores = np.zeros(scores_steps2[i].shape, np.result_type(dloss))
        dscores[y[i]] -= dloss
        dsum_exp = dloss / sum_exps[i]
        for j in reversed(range(num_classes)):
            # (5) sum_exp += np.exp(scores[j])
            dscores[j] += dsum_exp * sum_exp_exps[i, j]
        # (3) scores -= np.max(scores)
        dscores -= (
            dscores.sum()
            * (scores_steps[i] == scores_maxs[i])
            / int((scores_steps[i] == scores_maxs[i]).sum())
        )
        # (2) scores = X[i].dot(W)
        dW += np.outer(X[i], dscores)
    return dW


def softmax_loss_naive_value_and_grad(W, X, y, reg):
    loss, cache = softmax_loss_naive_forward(W, X, y, reg)
    return loss, softmax_loss_naive_backward(1.0, cache)
