"""`out, cache`.

The function's own cache falls away, with a note; backward gets what it needs.
"""

import numpy as np


def affine_forward(x: "N D", w: "D M", b: "M"):
    out = x @ w + b
    cache = (x, w, b)
    return out, cache
