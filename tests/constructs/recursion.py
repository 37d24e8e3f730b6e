"""A function that calls itself.

So does its backward pass, each call with the cache of its own.
"""

import numpy as np


def power(A: "N N", n: int):
    if n == 0:
        return np.eye(A.shape[0])
    if n % 2 == 1:
        return A @ power(A, n - 1)
    half = power(A, n // 2)
    return half @ half
