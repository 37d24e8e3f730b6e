"""A layer with several arguments and results.

Its class says which gradients its backward pass takes and gives.
"""

import numpy as np


class Cell:
    def __init__(self, W: "D D"):
        self.W = W

    def forward(self, x: "N D", h: "N D", c: "N D"):
        c = c * np.tanh(x)
        return np.tanh(h @ self.W) * c, c


class Step:
    def __init__(self, W):
        self.cell = Cell(W)

    def forward(self, x, h, c):
        h, c = self.cell.forward(x, h, c)
        return h + c
