import numpy as np


def train_step(X, y, W1, b1, W2, b2, learning_rate=0.1):
    """X is (N, D), y is (N, C), W1 (D, H), b1 (H,), W2 (H, C), b2 (C,)"""
    # forward
    h = X.dot(W1) + b1
    h_relu = np.maximum(h, 0)
    y_pred = h_relu.dot(W2) + b2
    loss = np.square(y_pred - y).sum()

    # backward
    grad_y_pred = 2.0 * (y_pred - y)
    grad_W2 = h_relu.T.dot(grad_y_pred)
    grad_b2 = grad_y_pred.sum(axis=0)
    grad_h_relu = grad_y_pred.dot(W2.T)
    grad_h = grad_h_relu.copy()
    grad_h[h < 0] = 0
    grad_W1 = X.T.dot(grad_h)
    grad_b1 = grad_h.sum(axis=0)

    # update the weights
    W1 = W1 - learning_rate * grad_W1
    b1 = b1 - learning_rate * grad_b1
    W2 = W2 - learning_rate * grad_W2
    b2 = b2 - learning_rate * grad_b2

    return loss, grad_W1, grad_b1, grad_W2, grad_b2
