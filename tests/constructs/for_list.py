"""`for ... in` a list that is written out.

Its rounds are written one below the other, as each element has a gradient of its own.
"""

import numpy as np


def f(x: "N D", W1, b1, W2, b2, reg: float):
    h = x
    for W, b in [(W1, b1), (W2, b2)]:
        h = np.tanh(h @ W + b)
    loss = np.sum(h)
    for W in (W1, W2):
        loss += 0.5 * reg * np.sum(W * W)
    return loss
