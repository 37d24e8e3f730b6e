"""`continue`.

A step that was skipped keeps nothing: what is kept is kept by the number of the step.
"""

import numpy as np


def f(W: "D C", x: "D", y):
    scores = x @ W
    loss = 0.0
    for j in range(W.shape[1]):
        if j == y:
            continue
        margin = scores[j] - scores[y] + 1
        if margin > 0:
            loss += margin * margin
    return loss
