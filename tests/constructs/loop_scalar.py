"""A carried scalar.

A running product; each step's factor needs the product before it.
"""

import numpy as np


def f(x: "N"):
    p = 1.0
    for t in range(len(x)):
        p = p * x[t]
    return p
