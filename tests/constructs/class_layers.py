"""Layers in a list.

They go back through their own `backward`.
"""

import numpy as np


class Sequential:
    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x
