"""`break`.

The steps that began are the ones that backward goes through.
"""

import numpy as np


def f(x: "N", w: float):
    s = 0.0
    for t in range(len(x)):
        s = s + np.sin(w * x[t])
        if s > 1.0:
            break
    return s
