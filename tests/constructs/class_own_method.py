"""A method that calls another.

It is written out where it is called, as a nested function is.
"""

import numpy as np


class Unit:
    def __init__(self, w: "D"):
        self.w = w

    def act(self, v):
        return np.tanh(v * self.w)

    def forward(self, x: "N D"):
        return self.act(x) * self.act(x * x)
