"""Early `return scores`.

Without labels there is no loss; forward gives `scores, None`.
"""

import numpy as np


def loss(X: "N D", W: "D C", y=None):
    scores = X @ W
    if y is None:
        return scores
    p = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    p = p / np.sum(p, axis=1, keepdims=True)
    N = X.shape[0]
    return -np.sum(np.log(p[np.arange(N), y])) / N
