import numpy as np


class BatchNorm1d:
    def __init__(self, num_features, alpha=0.9):
        self.alpha = alpha
        self.eps = 1e-8

        self.BW = np.ones((1, num_features))
        self.Bb = np.zeros((1, num_features))
        self.dLdBW = np.zeros((1, num_features))
        self.dLdBb = np.zeros((1, num_features))

    def forward(self, Z):
        """Z: batch of data (N, num_features)"""
        self.Z = Z
        self.N = Z.shape[0]
        self.M = np.mean(Z, axis=0, keepdims=True)
        self.V = np.var(Z, axis=0, keepdims=True)
        self.NZ = (Z - self.M) / np.sqrt(self.V + self.eps)
        self.BZ = self.BW * self.NZ + self.Bb
        return self.BZ

    def backward(self, dLdBZ):
        self.dLdBW = np.sum(dLdBZ * self.NZ, axis=0, keepdims=True)
        self.dLdBb = np.sum(dLdBZ, axis=0, keepdims=True)

        dLdNZ = dLdBZ * self.BW
        dLdV = -0.5 * np.sum(dLdNZ * (self.Z - self.M) * (self.V + self.eps) ** (-1.5), axis=0, keepdims=True)
        first = -np.sum(dLdNZ / np.sqrt(self.V + self.eps), axis=0, keepdims=True)
        second = -2 / self.N * dLdV * np.sum(self.Z - self.M, axis=0, keepdims=True)
        dLdM = first + second

        term1 = dLdNZ / np.sqrt(self.V + self.eps)
        term2 = dLdV * (2 / self.N) * (self.Z - self.M)
        term3 = dLdM / self.N
        dLdZ = term1 + term2 + term3
        return dLdZ
