"""`sum` over what is known only at run time.

Over a dict, an array or a range: a loop that adds up. What is known is added up in the one line.
"""

import numpy as np


def f(x: "N D", params, reg: float):
    h = np.tanh(x @ params["W1"] + params["b1"])
    loss = np.sum((h @ params["W2"]) ** 2)
    return loss + 0.5 * reg * sum(np.sum(W**2) for W in params.values())
