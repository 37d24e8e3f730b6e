import numpy as np


def lotka_volterra(z: "2", theta: "4"):
    """Growth rates of prey and predators, z = (x, y)."""
    x, y = z
    alpha, beta, gamma, delta = theta
    dx = alpha * x - beta * x * y
    dy = delta * x * y - gamma * y
    return np.array([dx, dy])


def rk4_step(z: "2", theta: "4", h: float):
    """One step of the classical Runge-Kutta method for dz/dt = lotka_volterra(z, theta)."""
    k1 = lotka_volterra(z, theta)
    k2 = lotka_volterra(z + h / 2 * k1, theta)
    k3 = lotka_volterra(z + h / 2 * k2, theta)
    k4 = lotka_volterra(z + h * k3, theta)
    return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def simulate(z0: "2", theta: "4", h: float, num_steps: int):
    """Prey and predators over time, by the Lotka-Volterra equations: one row for z0 and one for each step of length h."""
    z = z0
    trajectory = np.zeros((num_steps + 1, 2))
    trajectory[0] = z0
    for n in range(num_steps):
        z = rk4_step(z, theta, h)
        trajectory[n + 1] = z
    return trajectory
