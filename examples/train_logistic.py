"""Logistic regression on the breast cancer data set of scikit-learn, fitted with L-BFGS.

    flatgrad compile examples/logistic_regression.py --wrt w
    python examples/train_logistic.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "generated"))

from logistic_regression_grad import logistic_loss_value_and_grad


def train(iterations: int = 100, reg: float = 1e-3) -> tuple[float, float]:
    """Fit the model; the final loss and the accuracy on the held-out quarter."""
    data = load_breast_cancer()
    X = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    X = np.column_stack([X, np.ones(len(X))])
    X_train, X_test, y_train, y_test = train_test_split(X, data.target, test_size=0.25, random_state=0)

    w = np.zeros(X.shape[1])
    fit = minimize(
        logistic_loss_value_and_grad,
        w,
        args=(X_train, y_train, reg),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations},
    )
    accuracy = np.mean((X_test @ fit.x > 0) == y_test)
    return float(fit.fun), float(accuracy)


if __name__ == "__main__":
    loss, accuracy = train()
    print(f"loss {loss:.4f}, accuracy on held-out data {accuracy:.1%}")
