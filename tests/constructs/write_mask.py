"""A mask.

Elements under the mask hand nothing back.
"""

import numpy as np


def f(x: "N D"):
    h = x**2
    h[x < 0] = 0
    return h
