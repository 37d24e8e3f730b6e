"""Changes of a list whose elements are known.

Every name of the list sees them. Only the elements are left.
"""

import numpy as np


def f(x: "N", w: "N"):
    parts = [x]
    same = parts
    parts.extend([x * w, np.sin(w)])
    parts += [w]
    first = parts.pop(0)
    del parts[0]
    return first * same[0] + np.sum(np.concatenate(same))
