"""Flat gradient code for `char_rnn_loss` in char_rnn.py, written by flatgrad 0.1.0.

char_rnn_loss_forward(inputs, targets, hprev, Wxh, Whh, Why, bh, by) -> loss, out, cache
char_rnn_loss_backward(dloss, dout, cache)                           -> dhprev, dWxh, dWhh, dWhy, dbh, dby

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def char_rnn_loss_forward(inputs, targets, hprev, Wxh, Whh, Why, bh, by):
    """
    Minimal character-level vanilla RNN.

    inputs, targets are both lists of integers, one for each step.
    hprev is an array of the initial hidden state, of shape (H, 1)
    Wxh: input to hidden, of shape (H, V)
    Whh: hidden to hidden, of shape (H, H)
    Why: hidden to output, of shape (V, H)
    bh: hidden bias, of shape (H, 1)
    by: output bias, of shape (V, 1)
    returns the loss and the last hidden state
    """
    if (
        np.ndim(inputs) != 1
        or np.ndim(targets) != 1
        or np.ndim(hprev) != 2
        or np.shape(hprev)[1] != 1
        or np.ndim(Wxh) != 2
        or np.shape(Wxh)[0] != np.shape(hprev)[0]
        or np.shape(Whh) != (np.shape(hprev)[0], np.shape(hprev)[0])
        or np.shape(Why) != (np.shape(Wxh)[1], np.shape(hprev)[0])
        or np.shape(bh) != np.shape(hprev)
        or by.shape != (np.shape(Wxh)[1], 1)
    ):
        raise ValueError(
            "shapes must be inputs (_,), targets (_,), hprev (H, 1), Wxh (H, V), Whh (H, H), Why (V, H), bh (H, 1) and by (V, 1)"
        )
    vocab_size = by.shape[0]
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(hprev)  # (1)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((vocab_size, 1))  # (2) encode in 1-of-k representation
        xs[t][inputs[t]] = 1  # (3)
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)  # (4) hidden state
        ys[t] = np.dot(Why, hs[t]) + by  # (5) unnormalized log probabilities for next chars
        ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))  # (6) probabilities for next chars
        loss += -np.log(ps[t][targets[t], 0])  # (7) softmax (cross-entropy loss)
    out = hs[len(inputs) - 1]  # (8)
    return loss, out, (inputs, targets, Wxh, Whh, Why, bh, by, ps, hs, xs, out)


def char_rnn_loss_backward(dloss, dout, cache):
    """Gradients from dloss (), dout (H, 1): dhprev (H, 1), dWxh (H, V), dWhh (H, H), dWhy (V, H), dbh (H, 1), dby (V, 1)."""
    inputs, targets, Wxh, Whh, Why, bh, by, ps, hs, xs, out = cache
    # (8) return loss, hs[len(inputs) - 1]
    if dloss is None:
        dloss = 0.0
    if dout is None:
        dout = 0.0 * np.ones_like(out)
    dWhy = np.zeros(Why.shape, np.result_type(Why, 0.0))
    dWxh = np.zeros(Wxh.shape, np.result_type(Wxh, 0.0))
    dWhh = np.zeros(Whh.shape, np.result_type(Whh, 0.0))
    dbh = np.zeros(bh.shape, np.result_type(bh, 0.0))
    dby = np.zeros(by.shape, np.result_type(by, 0.0))
    dh = dout
    for t in reversed(range(np.shape(inputs)[0])):
        # (7) loss += -np.log(ps[t][targets[t], 0])
        dp = np.zeros(by.shape, np.result_type(dloss, ps[t][targets[t], 0]))
        dp[targets[t], 0] -= dloss / ps[t][targets[t], 0]
        # (6) ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
        dy = ps[t] * (dp - (dp * ps[t]).sum())
        # (5) ys[t] = np.dot(Why, hs[t]) + by
        dWhy += dy @ hs[t].T
        # (4) hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        dh_pre = (dh + Why.T @ dy) * (1 - hs[t] ** 2)
        dWxh += dh_pre @ xs[t].T
        dh = Whh.T @ dh_pre
        dWhh += dh_pre @ hs[t - 1].T
        dbh += dh_pre
        # (5) ys[t] = np.dot(Why, hs[t]) + by
        dby += dy
    # (1) hs[-1] = np.copy(hprev)
    dhprev = dh.copy()
    return dhprev, dWxh, dWhh, dWhy, dbh, dby
