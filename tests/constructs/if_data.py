"""`if` on data.

A test of numbers is made again where its inputs survive, else its answer is kept.
At a tie itself the gradient is that of the arm that ran.
"""

import numpy as np


def f(x: float, y: float):
    if x > y:
        z = x * x
    else:
        z = x * y
    return z
