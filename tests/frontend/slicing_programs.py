"""Random functions full of second names, views, containers and writes in place, for the tests of slicing."""

from __future__ import annotations

import random

HEAD = """
import numpy as np

def same(u):
    return u

def bump(u):
    u[0] += 0.5
    return u * 2

def pair(u, w):
    return u[::-1], w * 0.5

def keep(u):
    out = np.tanh(u)
    cache = (u, out)
    return out, cache

def put(D, u):
    D["put"] = u

def made(D):
    z = np.ones(3)
    D["made"] = z
    return z

TRACE = []

def traced(u):
    TRACE.append(u)
    return u * 1

class Box:
    def __init__(self, u):
        self.u = u

def f(x, y, P):
    a, b, c, d, e = x * 2, np.tanh(y), x + y, np.zeros(3), y * y
    hs = [a * 1, b * 1]
    g = {"k": c * 1, "m": a - b}
    t = (d * 1, e)
    n = 0
"""

ARRAYS = "abcde"
FRESH = [
    "{v} * 0.5",
    "{v} + {w}",
    "np.tanh({v})",
    "{v}.copy()",
    "{v} - {w} * 0.5",
    "np.maximum({v}, {w})",
    "-{v}",
    "np.where({v} > 0, {w}, {v})",
    "np.zeros(3)",
    "np.array({v})",
    "bump({v})",
    "pair({v}, {w})[1]",
    "keep({v})[0]",
]
SHARED = [
    "hs[:2][-1]",
    "list(map(same, hs))[0]",
    "(hs * 2)[0]",
    "sorted(hs, key=lambda q: q[0])[0]",
    "{v}",
    "{v}[::-1]",
    "{v}.T",
    "{v}[:]",
    "{v}.reshape(3)",
    "np.asarray({v})",
    "hs[0]",
    "hs[-1]",
    'g["k"]',
    'g.get("m", {v})',
    "t[0]",
    "same({v})",
    "({v}, {w})[1]",
    "{v} if {v}[0] > 0 else {w}",
    "x",
    'P["W"]',
    "y[:]",
    "[{v}, {w}][0]",
    "[q for q in hs][0]",
    "(lambda q: q)({v})",
    "keep({v})[1][0]",
    "(hs + [{v}])[0]",
    "t[-1]",
    "pair({v}, {w})[0]",
    "list(g.values())[0]",
    "max([{v}], key=len)",
    "np.atleast_1d({v})",
    "np.ravel({v})",
    "dict(k={v})['k']",
    "hs.copy()[0]",
    "{{**g}}['k']",
    "(None or [{v}])[0]",
    "np.exp({v} * 0.1, out={v})",
]
WRITES = [
    "h2 = hs[1:]\nh2.append({v})\nh2[-1][0] = 0.6",
    "list(map(bump, hs))",
    "{v} = list(map(bump, hs))[0]",
    "traced({v})",
    "hs = hs[::-1]",
    "put(P, {v})",
    "put(g, {v})",
    "{v} = made(g)",
    "{v} = made(P)",
    "{v}[{i}] = 0.25",
    "{v}[{i}] = {w}[{j}]",
    "{v} += {w} * 0.1",
    "{v} *= 0.5",
    "{v}[{i}] += 0.5",
    "{v}.fill(0.3)",
    "np.add.at({v}, [0, 0], 0.5)",
    "np.copyto({v}, {w})",
    "np.tanh({v}, out={v})",
    "bump({v})",
    "hs[0][{i}] = 1.5",
    "hs[-1] += 0.25",
    "hs.append({v})",
    "hs[0] = {v}",
    "hs.insert(0, {v})",
    "hs.reverse()",
    'g["k"] = {v}',
    'g["k"] *= 0.5',
    "g.update(m={v})",
    'g["m"][{i}] = 0.75',
    "{v}, {w} = {w}, {v}",
    "{v}, {w} = pair({v}, {w})",
    "t = ({v}, {w})",
    "t = keep({v})[1]",
    "{v}, t = keep({w})",
    "for q in hs:\n    q *= 0.5",
    "hs = [{v}, *hs[:2]]",
    "for k, q in enumerate(hs):\n    q[k % 3] = 0.1",
    "for q in g.values():\n    q[0] = 0.9",
    "hs += [{v}]",
    "n += 1",
    'P["W"][0] += 0.5',
    'P["m"] = {v}',
    "x[0] = 0.5",
    "box = Box({v})\nbox.u[0] = 0.2",
    "np.multiply({v}, 0.5, {v})",
    "{v}.T[0] = 0.8",
    "{v}[{v} > 0] = 0.1",
    "{v}[[0, 1]] -= 0.2",
    "hs.append(hs.pop(0))",
    "{v} = hs.pop()\nhs.append({w})",
    "for q, r in zip(hs, hs[::-1]):\n    q += r",
    "q = {v}\nq -= 0.1",
    "(q := {v})[0] = 0.7",
    "np.put({v}, 0, 0.35)",
]
RESULTS = [
    "{v}.sum()",
    "{v} * {w}",
    "{v} + hs[0]",
    '{v} - g["k"]',
    "{v} * n",
    "{v} + t[0]",
    "same({v})",
    "{v}",
]


def program(seed: int) -> str:
    """A module whose last function is `f`, which returns a kept result and an ignored one, `own`."""
    chance = random.Random(seed)
    lines = _block(chance, chance.randint(3, 14), depth=0, looped=False)
    lines.append(f"own = {_filled(chance, chance.choice(SHARED + FRESH))}")
    lines.extend(_block(chance, chance.randint(0, 3), depth=1, looped=False))
    lines.append(f"return {_filled(chance, chance.choice(RESULTS))}, own")
    return HEAD + "\n".join("    " + line for line in lines) + "\n"


def _filled(chance: random.Random, text: str) -> str:
    v, w = chance.choice(ARRAYS), chance.choice(ARRAYS)
    return text.format(v=v, w=w, i=chance.randint(0, 2), j=chance.randint(0, 2))


def _block(chance: random.Random, size: int, depth: int, looped: bool) -> list[str]:
    lines: list[str] = []
    for _ in range(size):
        kind = chance.random()
        if kind < 0.25:
            lines.append(f"{chance.choice(ARRAYS)} = {_filled(chance, chance.choice(FRESH))}")
        elif kind < 0.5:
            lines.append(f"{chance.choice(ARRAYS)} = {_filled(chance, chance.choice(SHARED))}")
        elif kind < 0.8 or depth > 2:
            lines.extend(_filled(chance, chance.choice(WRITES)).split("\n"))
        elif kind < 0.9:
            lines.append(f"if {_filled(chance, '{v}[{i}] > 0.1')}:")
            lines.extend("    " + line for line in _block(chance, chance.randint(1, 3), depth + 1, looped))
            if chance.random() < 0.3 and looped:
                lines.append("    " + chance.choice(["break", "continue"]))
            if chance.random() < 0.4:
                lines.append("else:")
                lines.extend("    " + line for line in _block(chance, chance.randint(1, 2), depth + 1, looped))
            if chance.random() < 0.1:
                lines.append(_filled(chance, "if {v}[0] > 0.4: return {v} * 1, {w}"))
        else:
            heads = ["for i in range(2):", "for i in range(3):", "for c in hs[:2]:", "for _ in list(g):"]
            lines.append(chance.choice(heads))
            lines.extend("    " + line for line in _block(chance, chance.randint(1, 4), depth + 1, True))
            if chance.random() < 0.2:
                lines.append("else:")
                lines.extend("    " + line for line in _block(chance, 1, depth + 1, looped))
    return lines
