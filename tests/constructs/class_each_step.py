"""A layer for each step.

It is read as a function of its input and its weights; a cache of each step stands in its place.
"""

import numpy as np


class Cell:
    def __init__(self, W: "H H"):
        self.W = W
        self.cache = None

    def forward(self, x: "N H", h: "N H"):
        out = np.tanh(x + h @ self.W)
        self.cache = (h, out)
        return out


class RNN:
    def __init__(self, W: "H H"):
        self.W = W

    def forward(self, xs: "N T H"):
        N, T, H = xs.shape
        h = np.zeros((N, H))
        self.layers = []
        for t in range(T):
            layer = Cell(self.W)
            h = layer.forward(xs[:, t], h)
            self.layers.append(layer)
        return h
