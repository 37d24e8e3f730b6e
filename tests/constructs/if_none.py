"""`is None`.

Backward makes the same test. A parameter with a default value has no gradient unless `--wrt` names it.
"""

import numpy as np


def f(x: "N D", w: "D", mask: "N D" = None):
    h = x * w
    if mask is not None:
        h = h * mask
    return np.sum(h**2)
