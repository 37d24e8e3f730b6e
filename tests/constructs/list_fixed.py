"""A list of a known length.

Only the names are left of it.
"""

import numpy as np


def f(x: "N", w: "N"):
    parts = [x * w, np.sin(x)]
    parts.append(w)
    return parts[0] * parts[-1] + len(parts) * parts[1]
