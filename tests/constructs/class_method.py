"""Weights in a dict on `self`.

Any method that is asked for gets a backward pass beside it, and what is differentiated is named like a parameter.
"""

import numpy as np


class TwoLayerNet:
    def __init__(self, params):
        self.params = params

    def loss(self, X: "N D", y: "N int"):
        h = np.maximum(0, X @ self.params["W1"])
        scores = h @ self.params["W2"]
        p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
        return -np.mean(np.log(p[np.arange(X.shape[0]), y]))
