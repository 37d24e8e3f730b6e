import numpy as np


def char_rnn_loss(inputs, targets, hprev, Wxh, Whh, Why, bh, by):
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
    vocab_size = by.shape[0]
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(hprev)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((vocab_size, 1))  # encode in 1-of-k representation
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)  # hidden state
        ys[t] = np.dot(Why, hs[t]) + by  # unnormalized log probabilities for next chars
        ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))  # probabilities for next chars
        loss += -np.log(ps[t][targets[t], 0])  # softmax (cross-entropy loss)
    return loss, hs[len(inputs) - 1]
