"""Keys that are put together at run time.

`"W%d" % i`, f-strings and `.format` work as well.
"""

import numpy as np


def f(x: "N D", params, L):
    h = x
    for i in range(1, L + 1):
        h = np.tanh(h @ params["W" + str(i)])
    return h
