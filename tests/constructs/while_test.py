"""`while`.

How often it ran is counted; backward runs as many times, and the test is not differentiated.
"""

import numpy as np


def f(x: float, a: float):
    while x * x > 2.0:
        x = x - a * np.sin(x)
    return x
