import numpy as np


class Embedding:
    """W is (V, D); ids is an integer array (N,) with 0 <= ids < V"""

    def __init__(self, W):
        self.W = W
        self.dW = np.zeros_like(W)

    def forward(self, ids):
        self.ids = ids
        return self.W[ids]

    def backward(self, dout):
        self.dW[...] = 0
        for k, word_id in enumerate(self.ids):
            self.dW[word_id] += dout[k]
        return None
