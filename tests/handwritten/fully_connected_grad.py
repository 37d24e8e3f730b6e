"""Flat gradient code for `fully_connected_loss` in fully_connected.py, written by hand.

fully_connected_loss_forward(params, X, y, reg)        -> loss, cache
fully_connected_loss_backward(dloss, cache)            -> dparams
fully_connected_loss_value_and_grad(params, X, y, reg) -> loss, dparams

Without labels the forward pass gives the scores and None.
"""

import numpy as np


def fully_connected_loss_forward(params, X, y=None, reg=0.0):
    """Softmax loss of a fully connected ReLU network of any depth: {affine - relu} x (L - 1) - affine - softmax.

    Shapes: X (N, d_1, ..., d_k), y (N,).
    """
    num_layers = len(params) // 2
    num_train = X.shape[0]

    h = X.reshape(num_train, -1)
    hs = [h]
    for i in range(1, num_layers):
        W, b = params["W" + str(i)], params["b" + str(i)]
        h = np.maximum(0, h.dot(W) + b)  # (1)
        hs.append(h)
    scores = h.dot(params["W" + str(num_layers)]) + params["b" + str(num_layers)]  # (2)

    # If y is None then we are in test mode, so just return scores
    if y is None:
        return scores, None

    shifted = scores - np.max(scores, axis=1, keepdims=True)  # (3)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))  # (4)
    loss = -np.sum(log_probs[np.arange(num_train), y]) / num_train  # (5)
    for i in range(1, num_layers + 1):
        W = params["W%d" % i]
        loss += 0.5 * reg * np.sum(W * W)  # (6)
    return loss, (params, y, reg, num_layers, hs, log_probs)


def fully_connected_loss_backward(dloss, cache):
    """Gradients of loss: dparams, a dict with the keys of params."""
    params, y, reg, num_layers, hs, log_probs = cache
    num_train = log_probs.shape[0]
    dparams = {}
    for i in range(1, num_layers + 1):
        # (6) loss += 0.5 * reg * np.sum(W * W)
        dparams["W%d" % i] = dloss * reg * params["W%d" % i]
    # (3)-(5) softmax cross-entropy of scores against y
    dscores = np.exp(log_probs)
    dscores[np.arange(num_train), y] -= 1
    dscores *= dloss / num_train
    # (2) scores = h.dot(params["W" + str(num_layers)]) + params["b" + str(num_layers)]
    dh = dscores.dot(params["W" + str(num_layers)].T)
    dparams["W" + str(num_layers)] += hs[-1].T.dot(dscores)
    dparams["b" + str(num_layers)] = dscores.sum(axis=0)
    for i in reversed(range(1, num_layers)):
        # (1) h = np.maximum(0, h.dot(W) + b)
        dz = dh * (hs[i] > 0)
        dh = dz.dot(params["W" + str(i)].T)
        dparams["W" + str(i)] += hs[i - 1].T.dot(dz)
        dparams["b" + str(i)] = dz.sum(axis=0)
    return dparams


def fully_connected_loss_value_and_grad(params, X, y=None, reg=0.0):
    loss, cache = fully_connected_loss_forward(params, X, y, reg)
    return loss, fully_connected_loss_backward(1.0, cache)
