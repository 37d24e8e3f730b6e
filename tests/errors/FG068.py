import numpy as np


class Linear:
    def __init__(self, W):
        self.W = W

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.dW = self.x.T @ dout
        return dout @ self.W.T


class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self):
        return 1 - self.out**2


class Net:
    def __init__(self, W1, W2):
        self.layers = [Linear(W1), Tanh(), Linear(W2)]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x
