import numpy as np


class Linear:
    def __init__(self, in_features, out_features, debug=False):
        """
        Initialize the weights and biases with zeros
        """
        self.W = np.zeros((out_features, in_features))
        self.b = np.zeros((out_features, 1))
        self.debug = debug

    def forward(self, A):
        """
        :param A: Input to the linear layer with shape (N, C0)
        :return: Output Z of linear layer with shape (N, C1)
        """
        self.A = A
        self.N = A.shape[0]
        self.Ones = np.ones((self.N, 1))
        Z = self.A @ self.W.T + self.Ones @ self.b.T
        return Z

    def backward(self, dLdZ):
        dLdA = dLdZ @ self.W
        self.dLdW = dLdZ.T @ self.A
        self.dLdb = dLdZ.T @ self.Ones
        return dLdA


class Sigmoid:
    def forward(self, Z):
        self.A = 1 / (1 + np.exp(-Z))
        return self.A

    def backward(self, dLdA):
        dAdZ = self.A - self.A * self.A
        dLdZ = dLdA * dAdZ
        return dLdZ


class Tanh:
    def forward(self, Z):
        self.A = np.tanh(Z)
        return self.A

    def backward(self, dLdA):
        dLdZ = dLdA * (1 - np.square(self.A))
        return dLdZ


class ReLU:
    def forward(self, Z):
        self.A = np.maximum(Z, 0)
        return self.A

    def backward(self, dLdA):
        dAdZ = np.where(self.A > 0, 1, 0)
        dLdZ = dLdA * dAdZ
        return dLdZ


class MSELoss:
    def forward(self, A, Y):
        """
        :param A: Output of the model of shape (N, C)
        :param Y: Ground-truth values of shape (N, C)
        """
        self.A = A
        self.Y = Y
        self.N = A.shape[0]
        self.C = A.shape[1]
        se = (A - Y) * (A - Y)
        sse = np.sum(se)
        mse = sse / (self.N * self.C)
        return mse

    def backward(self):
        dLdA = 2 * (self.A - self.Y) / (self.N * self.C)
        return dLdA


class CrossEntropyLoss:
    def forward(self, A, Y):
        """
        :param A: Output of the model of shape (N, C)
        :param Y: one-hot ground-truth values of shape (N, C)
        """
        self.A = A
        self.Y = Y
        N = A.shape[0]
        C = A.shape[1]
        Ones_C = np.ones((C, 1))
        Ones_N = np.ones((N, 1))
        self.softmax = np.exp(A) / (np.exp(A) @ Ones_C)
        crossentropy = (-Y * np.log(self.softmax)) @ Ones_C
        sum_crossentropy = Ones_N.T @ crossentropy
        L = sum_crossentropy[0, 0] / N
        return L

    def backward(self):
        dLdA = (self.softmax * np.sum(self.Y, axis=1, keepdims=True) - self.Y) / self.A.shape[0]
        return dLdA
