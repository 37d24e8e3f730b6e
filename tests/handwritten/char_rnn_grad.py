"""Flat gradient code for `char_rnn_loss` in char_rnn.py, written by hand.

char_rnn_loss_forward(inputs, targets, hprev, Wxh, Whh, Why, bh, by) -> loss, h, cache
char_rnn_loss_backward(dloss, dh, cache)                             -> dhprev, dWxh, dWhh, dWhy, dbh, dby
"""

import numpy as np


def char_rnn_loss_forward(inputs, targets, hprev, Wxh, Whh, Why, bh, by):
    """Minimal character-level vanilla RNN.

    Shapes: hprev (H, 1), Wxh (H, V), Whh (H, H), Why (V, H), bh (H, 1), by (V, 1).
    """
    if bh.shape != hprev.shape or hprev.shape[1:] != (1,) or by.shape != (Why.shape[0], 1):
        raise ValueError("shapes must be hprev (H, 1), Why (V, H), bh (H, 1) and by (V, 1)")
    vocab_size = by.shape[0]
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(hprev)  # (1)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((vocab_size, 1))  # encode in 1-of-k representation
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)  # (2) hidden state
        ys[t] = np.dot(Why, hs[t]) + by  # (3) unnormalized log probabilities for next chars
        ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))  # (4) probabilities for next chars
        loss += -np.log(ps[t][targets[t], 0])  # (5) softmax (cross-entropy loss)
    h = hs[len(inputs) - 1]  # (6)
    return loss, h, (targets, Wxh, Whh, Why, xs, hs, ps)


def char_rnn_loss_backward(dloss, dh, cache):
    """Gradients from dloss, dh (H, 1): dhprev (H, 1), dWxh (H, V), dWhh (H, H), dWhy (V, H), dbh (H, 1), dby (V, 1)."""
    targets, Wxh, Whh, Why, xs, hs, ps = cache
    if dloss is None:
        dloss = 0.0
    if dh is None:
        dh = np.zeros_like(hs[-1])
    dWxh = np.zeros_like(Wxh)
    dWhh = np.zeros_like(Whh)
    dWhy = np.zeros_like(Why)
    dbh = np.zeros_like(hs[-1])
    dby = np.zeros((len(Why), 1))
    # (6) h = hs[len(inputs) - 1]
    dhnext = dh.copy()
    for t in reversed(range(len(xs))):
        # (4), (5) softmax cross-entropy of ys[t] against targets[t]
        dy = dloss * ps[t]
        dy[targets[t]] -= dloss
        # (3) ys[t] = np.dot(Why, hs[t]) + by
        dWhy += np.dot(dy, hs[t].T)
        dhnext += np.dot(Why.T, dy)
        dby += dy
        # (2) hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        dhraw = dhnext * (1 - hs[t] ** 2)
        dWxh += np.dot(dhraw, xs[t].T)
        dWhh += np.dot(dhraw, hs[t - 1].T)
        dhnext = np.dot(Whh.T, dhraw)
        dbh += dhraw
    # (1) hs[-1] = np.copy(hprev)
    dhprev = dhnext
    return dhprev, dWxh, dWhh, dWhy, dbh, dby
