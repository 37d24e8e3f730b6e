import numpy as np


def lotka_volterra(z, theta):
    """Prey and predators: growth rates of z = (x, y)."""
    x, y = z
    alpha, beta, gamma, delta = theta
    dx = alpha * x - beta * x * y
    dy = delta * x * y - gamma * y
    return np.array([dx, dy])


def rk4_step(z, theta, h):
    """One step of the classical Runge-Kutta method for the populations: dz/dt = lotka_volterra(z, theta)."""
    k1 = lotka_volterra(z, theta)
    k2 = lotka_volterra(z + h / 2 * k1, theta)
    k3 = lotka_volterra(z + h / 2 * k2, theta)
    k4 = lotka_volterra(z + h * k3, theta)
    return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def simulate(z0, theta, h: float, num_steps: int):
    """Populations from z0, of shape (2,), on; theta has shape (4,). Returns an array of shape (num_steps + 1, 2)."""
    z = z0
    trajectory = np.zeros((num_steps + 1, 2))
    trajectory[0] = z0
    for n in range(num_steps):
        z = rk4_step(z, theta, h)
        trajectory[n + 1] = z
    return trajectory
