"""The two-layer network on scikit-learn's digits, trained by gradient descent in mini-batches.

    flatgrad compile examples/two_layer_net.py --wrt W1,b1,W2,b2
    python examples/train_digits.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "generated"))

from two_layer_net_grad import two_layer_net_backward, two_layer_net_forward


def train(
    iterations: int = 500, hidden: int = 50, batch: int = 100, rate: float = 0.5, reg: float = 1e-4
) -> tuple[float, float]:
    """Train the network; the loss of the last batch and the accuracy on the held-out quarter."""
    data = load_digits()
    X_train, X_test, y_train, y_test = train_test_split(data.data / 16, data.target, test_size=0.25, random_state=0)

    rng = np.random.default_rng(0)
    W1 = 0.1 * rng.standard_normal((64, hidden))
    b1 = np.zeros(hidden)
    W2 = 0.1 * rng.standard_normal((hidden, 10))
    b2 = np.zeros(10)

    for _ in range(iterations):
        rows = rng.choice(len(X_train), batch, replace=False)
        loss, cache = two_layer_net_forward(X_train[rows], y_train[rows], W1, b1, W2, b2, reg)
        dW1, db1, dW2, db2 = two_layer_net_backward(1.0, cache)
        W1 -= rate * dW1
        b1 -= rate * db1
        W2 -= rate * dW2
        b2 -= rate * db2

    scores = np.maximum(0, X_test @ W1 + b1) @ W2 + b2
    accuracy = np.mean(scores.argmax(axis=1) == y_test)
    return float(loss), float(accuracy)


if __name__ == "__main__":
    loss, accuracy = train()
    print(f"loss of the last batch {loss:.4f}, accuracy on held-out data {accuracy:.1%}")
