"""Attributes that forward writes.

They are read again as any other value.
"""

import numpy as np


class RNN:
    def __init__(self, W: "H H"):
        self.W = W

    def forward(self, x: "T H"):
        self.h = np.zeros(self.W.shape[0])
        for t in range(x.shape[0]):
            self.h = np.tanh(x[t] + self.h @ self.W)
        return self.h
