"""A helper that gives sizes.

No gradient goes through it, so that it stays as it is: forward calls it, and backward reads what it gave.
"""

import numpy as np


def padding(filter_shape, mode="same"):
    if mode == "valid":
        return (0, 0), (0, 0)
    elif mode == "same":
        height, width = filter_shape
        top, left = (height - 1) // 2, (width - 1) // 2
        return (top, height - 1 - top), (left, width - 1 - left)


def f(x: "N H W", filter_shape, mode="same"):
    pad_h, pad_w = padding(filter_shape, mode)
    return np.pad(x, ((0, 0), pad_h, pad_w)) ** 2
