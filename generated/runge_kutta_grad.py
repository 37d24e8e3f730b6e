"""Flat gradient code for runge_kutta.py, written by flatgrad 0.1.0 (--function simulate).

lotka_volterra_forward(z, theta)          -> out, cache
lotka_volterra_backward(dout, cache)      -> dz, dtheta
rk4_step_forward(z, theta, h)             -> out, cache
rk4_step_backward(dout, cache)            -> dz, dtheta, dh
simulate_forward(z0, theta, h, num_steps) -> trajectory, cache
simulate_backward(dtrajectory, cache)     -> dz0, dtheta, dh

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def lotka_volterra_forward(z, theta):
    """Growth rates of prey and predators, z = (x, y).

    Shapes: z (2,), theta (4,).
    """
    if np.ndim(z) != 1 or np.ndim(theta) != 1:
        raise ValueError("shapes must be z (2,) and theta (4,)")
    x, y = z  # (1)
    alpha, beta, gamma, delta = theta  # (2)
    dx = alpha * x - beta * x * y  # (3)
    dy = delta * x * y - gamma * y  # (4)
    out = np.array([dx, dy])  # (5)
    return out, (theta, x, y, alpha, beta, gamma, delta)


def lotka_volterra_backward(dout, cache):
    """Gradients from dout (2,): dz (2,), dtheta (4,)."""
    theta, x, y, alpha, beta, gamma, delta = cache
    # (5) out = np.array([dx, dy])
    ddx = dout[0]
    ddy = dout[1]
    # (4) dy = delta * x * y - gamma * y
    ddelta = ddy * y * x
    dx2 = ddy * y * delta
    dy2 = ddy * (delta * x)
    dgamma = -ddy * y
    dy2 -= ddy * gamma
    # (3) dx = alpha * x - beta * x * y
    dalpha = ddx * x
    dx2 += ddx * alpha
    dbeta = -ddx * y * x
    dx2 -= ddx * y * beta
    dy2 -= ddx * (beta * x)
    # (2) alpha, beta, gamma, delta = theta
    dtheta = np.zeros(theta.shape, np.result_type(ddelta))
    dtheta[3] += ddelta
    dtheta[2] += dgamma
    dtheta[1] += dbeta
    dtheta[0] += dalpha
    # (1) x, y = z
    dz = np.zeros(dout.shape, np.result_type(dy2))
    dz[1] += dy2
    dz[0] += dx2
    return dz, dtheta


def rk4_step_forward(z, theta, h):
    """One step of the classical Runge-Kutta method for dz/dt = lotka_volterra(z, theta).

    Shapes: z (2,), theta (4,), h ().
    """
    if np.ndim(h) != 0:
        raise ValueError("h must be a scalar")
    k1, lotka_volterra_cache4 = lotka_volterra_forward(z, theta)  # (1)
    k2, lotka_volterra_cache3 = lotka_volterra_forward(z + h / 2 * k1, theta)  # (2)
    k3, lotka_volterra_cache2 = lotka_volterra_forward(z + h / 2 * k2, theta)  # (3)
    k4, lotka_volterra_cache = lotka_volterra_forward(z + h * k3, theta)  # (4)
    out_total = k1 + 2 * k2 + 2 * k3 + k4
    out = z + h / 6 * out_total  # (5)
    return out, (
        h,
        k1,
        lotka_volterra_cache4,
        k2,
        lotka_volterra_cache3,
        k3,
        lotka_volterra_cache2,
        lotka_volterra_cache,
        out_total,
    )


def rk4_step_backward(dout, cache):
    """Gradients from dout (2,): dz (2,), dtheta (4,), dh ()."""
    (
        h,
        k1,
        lotka_volterra_cache4,
        k2,
        lotka_volterra_cache3,
        k3,
        lotka_volterra_cache2,
        lotka_volterra_cache,
        out_total,
    ) = cache
    # (5) out = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    dz = dout.copy()
    dk1 = dout * (h / 6)
    dh = (dout * out_total).sum() / 6
    dk2 = dk1 * 2
    dk3 = dk1 * 2
    dk4 = dk1
    # (4) k4 = lotka_volterra(z + h * k3, theta)
    dz2, dtheta = lotka_volterra_backward(dk4, lotka_volterra_cache)
    dz += dz2
    dh += (dz2 * k3).sum()
    dk3 += dz2 * h
    # (3) k3 = lotka_volterra(z + h / 2 * k2, theta)
    dz2, dtheta2 = lotka_volterra_backward(dk3, lotka_volterra_cache2)
    dtheta += dtheta2
    dz += dz2
    dh += (dz2 * k2).sum() / 2
    dk2 += dz2 * (h / 2)
    # (2) k2 = lotka_volterra(z + h / 2 * k1, theta)
    dz2, dtheta2 = lotka_volterra_backward(dk2, lotka_volterra_cache3)
    dtheta += dtheta2
    dz += dz2
    dh += (dz2 * k1).sum() / 2
    dk1 += dz2 * (h / 2)
    # (1) k1 = lotka_volterra(z, theta)
    dz2, dtheta2 = lotka_volterra_backward(dk1, lotka_volterra_cache4)
    dz += dz2
    dtheta += dtheta2
    return dz, dtheta, dh


def simulate_forward(z0, theta, h, num_steps):
    """Prey and predators over time, by the Lotka-Volterra equations: one row for z0 and one for each step of length h.

    Shapes: z0 (2,), theta (4,), h (), num_steps () int.
    """
    if np.shape(z0) != (2,) or np.shape(theta) != (4,) or np.ndim(h) != 0:
        raise ValueError("shapes must be z0 (2,), theta (4,) and h a scalar")
    z = z0  # (1)
    trajectory = np.zeros((num_steps + 1, 2))  # (2)
    trajectory[0] = z0  # (3)
    rk4_step_caches = []
    for n in range(num_steps):
        z, rk4_step_cache = rk4_step_forward(z, theta, h)  # (4)
        rk4_step_caches.append(rk4_step_cache)
        trajectory[n + 1] = z  # (5)
    return trajectory, (theta, num_steps, z, rk4_step_caches)


def simulate_backward(dtrajectory, cache):
    """Gradients from dtrajectory: dz0 (2,), dtheta (4,), dh ()."""
    theta, num_steps, z, rk4_step_caches = cache
    dz = np.zeros(z.shape, dtrajectory.dtype)
    dtheta = np.zeros(theta.shape, dtrajectory.dtype)
    dh = 0.0
    dtrajectory = dtrajectory.copy()
    for n in reversed(range(num_steps)):
        # (5) trajectory[n + 1] = z
        dz += dtrajectory[n + 1]
        dtrajectory[n + 1] = 0
        # (4) z = rk4_step(z, theta, h)
        dz, dtheta_n, dh_n = rk4_step_backward(dz, rk4_step_caches[n])
        dtheta += dtheta_n
        dh += dh_n
    # (3) trajectory[0] = z0
    dz0 = dtrajectory[0].copy()
    # (1) z = z0
    dz0 += dz
    return dz0, dtheta, dh
