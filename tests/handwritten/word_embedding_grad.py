"""Flat gradient code for word_embedding.py, written by hand.

word_embedding_forward(x, W)         -> out, cache
word_embedding_backward(dout, cache) -> dW
"""

import numpy as np


def word_embedding_forward(x, W):
    """Forward pass for word embeddings: a vocabulary of V words, each word a vector of dimension D.

    Shapes: x (N, T) int, W (V, D).
    """
    out = W[x]  # (1)
    return out, (x, W)


def word_embedding_backward(dout, cache):
    """Gradient from dout (N, T, D): dW (V, D)."""
    x, W = cache
    # (1) out = W[x]
    dW = np.zeros(W.shape, dout.dtype)
    np.add.at(dW, x, dout)
    return dW
