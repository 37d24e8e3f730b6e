import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def backprop(x, y, w1, b1, w2, b2):
    """One sample; x is (D, 1), y is (K, 1), w1 is (H, D), b1 is (H, 1), w2 is (K, H), b2 is (K, 1)"""
    z1 = np.dot(w1, x) + b1
    a1 = sigmoid(z1)
    z2 = np.dot(w2, a1) + b2
    a2 = sigmoid(z2)
    cost = 0.5 * np.sum((a2 - y) ** 2)

    grads = {}
    delta2 = (a2 - y) * a2 * (1 - a2)
    grads["b2"] = delta2
    grads["w2"] = np.dot(delta2, a1.T)
    delta1 = np.dot(w2.T, delta2) * a1 * (1 - a1)
    grads["b1"] = delta1
    grads["w1"] = np.dot(delta1, x.T)
    return cost, grads
