import numpy as np


def f(angles):
    phase = np.unwrap(angles)
    return np.sum(phase)
