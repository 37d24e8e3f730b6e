"""Flat gradient code for `fully_connected_loss` in fully_connected.py, written by flatgrad 0.1.0 (--wrt params).

fully_connected_loss_forward(params, X, y, reg)        -> loss, cache
fully_connected_loss_backward(dloss, cache)            -> dparams
fully_connected_loss_value_and_grad(params, X, y, reg) -> loss, dparams

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def fully_connected_loss_forward(params, X, y=None, reg=0.0):
    """
    Softmax loss of a fully connected ReLU network of any depth: {affine - relu} x (L - 1) - affine - softmax.

    Inputs:
    - params: dictionary of the weights W1, ..., WL and the biases b1, ..., bL
    - X: Array of input data of shape (N, d_1, ..., d_k)
    - y: Array of labels, of shape (N,); without labels the scores are returned
    - reg: L2 regularization strength
    """
    if (y is not None and np.shape(y) != (X.shape[0],)) or np.ndim(reg) != 0:
        raise ValueError("shapes must be y (N,) and reg a scalar")
    num_layers = len(params) // 2
    num_train = X.shape[0]

    h = X.reshape(num_train, -1)  # (1)
    hs = {}
    hs2 = {}
    for i in range(1, num_layers):
        hs2[i] = h
        W, b = params["W" + str(i)], params["b" + str(i)]  # (2)
        if np.ndim(W) != 2 or np.shape(b) != W.shape[1:]:
            raise ValueError("W must be a matrix, and b must have a number for each of its columns")
        h = np.maximum(0, h.dot(W) + b)  # (3)
        hs[i] = h
    if (
        np.ndim(params["W" + str(num_layers)]) != 2
        or np.shape(params["b" + str(num_layers)]) != np.shape(params["W" + str(num_layers)])[1:]
    ):
        raise ValueError(
            "W in params must be a matrix, and b in params must have a number for each of its columns"
        )
    scores = h.dot(params["W" + str(num_layers)]) + params["b" + str(num_layers)]  # (4)

    # If y is None then we are in test mode, so just return scores
    if y is None:
        return scores, None

    shifted = scores - np.max(scores, axis=1, keepdims=True)  # (5)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))  # (6)
    loss = -np.sum(log_probs[np.arange(num_train), y]) / num_train  # (7)
    for i in range(1, num_layers + 1):
        W = params["W%d" % i]  # (8)
        loss += 0.5 * reg * np.sum(W * W)  # (9)
    return loss, (params, y, reg, num_layers, h, hs, hs2, log_probs)


def fully_connected_loss_backward(dloss, cache):
    params, y, reg, num_layers, h, hs, hs2, log_probs = cache
    num_train = log_probs.shape[0]
    dparams = {
        key: np.zeros(np.shape(one), np.result_type(one, 0.0)) for key, one in params.items()
    }
    for i in reversed(range(1, num_layers + 1)):
        # (9) loss += 0.5 * reg * np.sum(W * W)
        dW = dloss * reg * params["W%d" % i]
        # (8) W = params["W%d" % i]
        dparams["W%d" % i] += dW
    # (5)-(7) softmax cross-entropy of scores against y
    dscores = np.exp(log_probs)
    dscores[np.arange(num_train), y] -= 1
    dscores *= dloss / num_train
    # (4) scores = h.dot(params["W" + str(num_layers)]) + params["b" + str(num_layers)]
    dh = dscores @ params["W" + str(num_layers)].T
    dparams["W" + str(num_layers)] += h.T @ dscores
    dparams["b" + str(num_layers)] += dscores.sum(axis=0)
    for i in reversed(range(1, num_layers)):
        # (3) h = np.maximum(0, h.dot(W) + b)
        dh_pre = dh * (hs[i] > 0)
        dh = dh_pre @ params["W" + str(i)].T
        dW = hs2[i].T @ dh_pre
        db = dh_pre.sum(axis=0)
        # (2) W, b = params["W" + str(i)], params["b" + str(i)]
        dparams["b" + str(i)] += db
        dparams["W" + str(i)] += dW
    return dparams


def fully_connected_loss_value_and_grad(params, X, y=None, reg=0.0):
    loss, cache = fully_connected_loss_forward(params, X, y, reg)
    return loss, fully_connected_loss_backward(1.0, cache)
