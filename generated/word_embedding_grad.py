"""Flat gradient code for `word_embedding` in word_embedding.py, written by flatgrad 0.1.0.

word_embedding_forward(x, W)         -> out, cache
word_embedding_backward(dout, cache) -> dW

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def word_embedding_forward(x, W):
    """
    Forward pass for word embeddings: a vocabulary of V words, each word a vector of dimension D.

    Inputs:
    - x: Integer array of shape (N, T) giving indices of words, each in the range 0 <= idx < V
    - W: Weight matrix of shape (V, D) giving word vectors for all words.

    Returns a tuple of:
    - out: Array of shape (N, T, D) giving word vectors for all input words.
    - cache: Values needed for the backward pass
    """
    if np.ndim(x) != 2 or W.ndim != 2:
        raise ValueError("shapes must be x (N, T) and W (V, D)")
    out = W[x]  # (1)
    return out, (x, W)


def word_embedding_backward(dout, cache):
    """Gradient from dout (N, T, D): dW (V, D)."""
    x, W = cache
    # (1) out = W[x]
    dW = np.zeros(W.shape, dout.dtype)
    np.add.at(dW, x, dout)
    return dW
