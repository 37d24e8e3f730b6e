import numpy as np


def dense_forward(inp, weights, bias):
    z = inp @ weights + bias
    return z, (inp, weights)


def dense_backward(grad, cache):
    inp, weights = cache
    return grad @ weights.T, inp.T @ grad, grad.sum(0)


def scale_shift_forward(x, gamma, beta):
    out = gamma * x + beta
    return out, (x, gamma)


def scale_shift_backward(dout, cache):
    x, gamma = cache
    dx = dout * gamma
    dgamma = (dout * x).sum(axis=0)
    dbeta = dout.sum(axis=0)
    return dx, dgamma, dbeta


def leaky_forward(x, alpha=0.01):
    return np.where(x > 0, x, alpha * x), (x, alpha)


def leaky_backward(dout, cache):
    x, alpha = cache
    dx = dout * np.where(x > 0, 1, alpha)
    return dx


def mse_loss(x, y):
    N = x.shape[0]
    diff = x - y
    loss = np.sum(diff ** 2) / N
    dx = 2 * diff / N
    return loss, dx


def log_reg(w, b, X, y):
    z = X @ w + b
    p = 1 / (1 + np.exp(-z))
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    dz = (p - y) / len(y)
    dw = X.T @ dz
    db = np.sum(dz)
    return loss, dw, db


def linreg(theta, X, y):
    m = len(y)
    h = X.dot(theta)
    J = np.sum((h - y) ** 2) / (2 * m)
    grad = X.T.dot(h - y) / m
    return J, grad
