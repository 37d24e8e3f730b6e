"""Flat gradient code for `simulate` in runge_kutta.py, written by hand.

simulate_forward(z0, theta, h, num_steps) -> trajectory, cache
simulate_backward(dtrajectory, cache)     -> dz0, dtheta, dh
"""

import numpy as np


def lotka_volterra(z, theta):
    """Growth rates of prey and predators, z = (x, y), of shape (2,)."""
    x, y = z
    alpha, beta, gamma, delta = theta
    dx = alpha * x - beta * x * y
    dy = delta * x * y - gamma * y
    return np.array([dx, dy])


def lotka_volterra_backward(dout, cache):
    """Gradients from dout (2,): dz (2,), dtheta (4,)."""
    z, theta = cache
    x, y = z
    alpha, beta, gamma, delta = theta
    ddx, ddy = dout
    dz = np.array(
        [ddx * (alpha - beta * y) + ddy * delta * y, -ddx * beta * x + ddy * (delta * x - gamma)]
    )
    dtheta = np.array([ddx * x, -ddx * x * y, -ddy * y, ddy * x * y])
    return dz, dtheta


def rk4_step_forward(z, theta, h):
    """One step of the classical Runge-Kutta method for dz/dt = lotka_volterra(z, theta)."""
    k1 = lotka_volterra(z, theta)  # (1)
    k2 = lotka_volterra(z + h / 2 * k1, theta)  # (2)
    k3 = lotka_volterra(z + h / 2 * k2, theta)  # (3)
    k4 = lotka_volterra(z + h * k3, theta)  # (4)
    out = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)  # (5)
    return out, (z, theta, h, k1, k2, k3, k4)


def rk4_step_backward(dout, cache):
    """Gradients from dout (2,): dz (2,), dtheta (4,), dh."""
    z, theta, h, k1, k2, k3, k4 = cache
    # (5) out = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    dh = dout @ (k1 + 2 * k2 + 2 * k3 + k4) / 6
    # (4) k4 = lotka_volterra(z + h * k3, theta)
    dz4, dtheta4 = lotka_volterra_backward(h / 6 * dout, (z + h * k3, theta))
    dh += dz4 @ k3
    # (3) k3 = lotka_volterra(z + h / 2 * k2, theta)
    dz3, dtheta3 = lotka_volterra_backward(h / 3 * dout + h * dz4, (z + h / 2 * k2, theta))
    dh += dz3 @ k2 / 2
    # (2) k2 = lotka_volterra(z + h / 2 * k1, theta)
    dz2, dtheta2 = lotka_volterra_backward(h / 3 * dout + h / 2 * dz3, (z + h / 2 * k1, theta))
    dh += dz2 @ k1 / 2
    # (1) k1 = lotka_volterra(z, theta)
    dz1, dtheta1 = lotka_volterra_backward(h / 6 * dout + h / 2 * dz2, (z, theta))
    return dout + dz1 + dz2 + dz3 + dz4, dtheta1 + dtheta2 + dtheta3 + dtheta4, dh


def simulate_forward(z0, theta, h, num_steps):
    """Prey and predators over time: one row for z0 and one for each step of length h.

    Shapes: z0 (2,), theta (4,).
    """
    z = z0
    trajectory = np.zeros((num_steps + 1, 2))
    trajectory[0] = z0  # (1)
    step_caches = []
    for n in range(num_steps):
        z, step_cache = rk4_step_forward(z, theta, h)  # (2)
        step_caches.append(step_cache)
        trajectory[n + 1] = z  # (3)
    return trajectory, (theta, step_caches)


def simulate_backward(dtrajectory, cache):
    """Gradients from dtrajectory (num_steps + 1, 2): dz0 (2,), dtheta (4,), dh."""
    theta, step_caches = cache
    dtheta = np.zeros_like(theta)
    dh = 0.0
    dz = np.zeros(2)
    for n in reversed(range(len(step_caches))):
        # (3) trajectory[n + 1] = z
        dz += dtrajectory[n + 1]
        # (2) z = rk4_step(z, theta, h)
        dz, dtheta_step, dh_step = rk4_step_backward(dz, step_caches[n])
        dtheta += dtheta_step
        dh += dh_step
    # (1) trajectory[0] = z0
    dz0 = dz + dtrajectory[0]
    return dz0, dtheta, dh
