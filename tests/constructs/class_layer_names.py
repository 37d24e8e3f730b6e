"""Layers by their names.

Where a name does nothing but find its layer, the loop runs over the layers.
"""

import numpy as np


class Square:
    def forward(self, x):
        return x * x


class Sine:
    def forward(self, x):
        return np.sin(x)


class Net:
    def __init__(self):
        self.layers = {"first": Square(), "second": Sine()}

    def predict(self, x):
        for name, layer in self.layers.items():
            x = layer.forward(x)
        return x

    def loss(self, x, target):
        return np.sum((self.predict(x) - target) ** 2)
