import numpy as np


class Softmax:
    def forward(self, Z):
        """Z: (L, S), softmax over the last dimension"""
        E = np.exp(Z - np.max(Z, axis=1, keepdims=True))
        self.A = E / np.sum(E, axis=1, keepdims=True)
        return self.A

    def backward(self, dLdA):
        dot = np.sum(dLdA * self.A, axis=1, keepdims=True)
        dLdZ = self.A * (dLdA - dot)
        return dLdZ


class ScaledDotProductAttention:
    def __init__(self):
        self.softmax = Softmax()

    def forward(self, Q, K, V):
        """Q: (L, E), K: (S, E), V: (S, Ev)"""
        self.Q = Q
        self.K = K
        self.V = V
        self.d_k = Q.shape[-1]
        scaled = Q @ K.T / np.sqrt(self.d_k)
        self.weights = self.softmax.forward(scaled)
        return self.weights @ V

    def backward(self, d_output):
        d_V = self.weights.T @ d_output
        d_weights = d_output @ self.V.T
        d_scaled = self.softmax.backward(d_weights)
        d_scaled = d_scaled / np.sqrt(self.d_k)
        d_Q = d_scaled @ self.K
        d_K = d_scaled.T @ self.Q
        return d_Q, d_K, d_V
