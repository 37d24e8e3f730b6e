# input: modular.py
import numpy as np


class Linear:
    def __init__(self, W: "D M", b: "M"):
        self.W = W
        self.b = b

    def forward(self, x: "N D"):
        return x @ self.W + self.b


class Tanh:
    def forward(self, x):
        return np.tanh(x)


class Sequential:
    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x
# output
"""Flat gradient code for the classes of modular.py, written by flatgrad 0.1.0.

Linear.forward(x) -> out;      Linear.backward(dout) -> dx, sets dW, db
Tanh.forward(x) -> out;        Tanh.backward(dout) -> dx
Sequential.forward(x) -> out;  Sequential.backward(dout) -> dx

Between forward and backward the caller leaves arguments, attributes and results as they are.
"""

import numpy as np


class Linear:
    def __init__(self, W, b):
        self.W = W
        self.b = b

    def forward(self, x):
        """Shapes: x (N, D), W (D, M), b (M,)."""
        if np.ndim(x) != 2 or self.W.ndim != 2 or self.b.shape != self.W.shape[1:]:
            raise ValueError("shapes must be x (N, D), W (D, M) and b (M,)")
        self.x = x
        return x @ self.W + self.b  # (1)

    def backward(self, dout):
        """Gradients from dout (N, M): returns dx (N, D); sets dW (D, M), db (M,)."""
        # (1) out = x @ self.W + self.b
        dx = dout @ self.W.T
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return dx


class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)  # (1)
        return self.out

    def backward(self, dout):
        # (1) out = np.tanh(x)
        dx = dout * (1 - self.out**2)
        return dx


class Sequential:
    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        if len(set(map(id, self.layers))) != len(self.layers):
            raise ValueError("a layer stands twice in layers")
        for layer in self.layers:
            x = layer.forward(x)  # (1)
        return x

    def backward(self, dout):
        dx = dout
        for layer in reversed(self.layers):
            # (1) x = layer.forward(x)
            dx = layer.backward(dx)
        return dx
