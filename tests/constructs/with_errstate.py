"""What NumPy is to be silent about.

The `with` stays in forward.
"""

import numpy as np


def f(p: "N"):
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(p)
    return -np.sum(p * logs)
