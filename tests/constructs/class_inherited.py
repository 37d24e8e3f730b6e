"""The method of a base class.

What `super()` calls is written out in its place.
"""

import numpy as np


class Affine:
    def __init__(self, W: "D M", b: "M"):
        self.W = W
        self.b = b

    def forward(self, x: "N D"):
        return x @ self.W + self.b


class Dense(Affine):
    def forward(self, x: "N D"):
        return np.tanh(super().forward(x))
