"""`for ... in` a dict of arrays.

`params.values()`, `params` and `sorted(params)` work as well.
"""

import numpy as np


def f(x: "N D", params, reg: float):
    h = np.tanh(x @ params["W1"] + params["b1"])
    loss = np.sum(h @ params["W2"])
    for name, W in params.items():
        if name.startswith("W"):
            loss += 0.5 * reg * np.sum(W * W)
    return loss
