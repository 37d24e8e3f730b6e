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
    out = W[x]
    cache = (x, W.shape)
    return out, cache
