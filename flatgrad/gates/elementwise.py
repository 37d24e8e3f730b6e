"""Elementwise functions: exponentials, logarithms, roots, trigonometric and hyperbolic functions.

`np.square(x)` stands where one could write `x**2`, as x may be a list. `math.log(2)`, a Python float, leaves float32
as it is; `np.log(2)` would not.
"""

from __future__ import annotations

from flatgrad.gates.entry import gate

# Exponentials and logarithms

exp = gate("np.exp(x)", backward={"x": "dz * z"}, dtype="float", proof="exp(x)")

expm1 = gate("np.expm1(x)", backward={"x": "dz * (z + 1)"}, dtype="float", proof="exp(x) - 1")

exp2 = gate("np.exp2(x)", backward={"x": "dz * z * math.log(2)"}, dtype="float", proof="2**x")

log = gate("np.log(x)", backward={"x": "dz / x"}, dtype="float", proof="log(x)", domain=(0.2, 4.0))

log1p = gate(
    "np.log1p(x)",
    backward={"x": "dz / (1 + x)"},
    dtype="float",
    proof="log(1 + x)",
    domain=(-0.8, 4.0),
    samples={"lists": False},
)

log2 = gate(
    "np.log2(x)",
    backward={"x": "dz / (math.log(2) * x)"},
    dtype="float",
    proof="log(x) / log(2)",
    domain=(0.2, 4.0),
    samples={"lists": False},
)

log10 = gate(
    "np.log10(x)",
    backward={"x": "dz / (math.log(10) * x)"},
    dtype="float",
    proof="log(x) / log(10)",
    domain=(0.2, 4.0),
    samples={"lists": False},
)

logaddexp = gate(
    "np.logaddexp(x, y)",
    backward={"x": "dz * np.exp(x - z)", "y": "dz * np.exp(y - z)"},
    shape="(),()->()",
    dtype="float",
    proof="log(exp(x) + exp(y))",
)

logaddexp2 = gate(
    "np.logaddexp2(x, y)",
    backward={"x": "dz * np.exp2(x - z)", "y": "dz * np.exp2(y - z)"},
    shape="(),()->()",
    dtype="float",
    proof="log(2**x + 2**y) / log(2)",
)

# Powers and roots

square = gate("np.square(x)", backward={"x": "dz * 2 * x"}, proof="x**2")

sqrt = gate(
    "np.sqrt(x)",
    backward={"x": "dz * 0.5 / z"},
    dtype="float",
    proof="sqrt(x)",
    domain=(0.2, 4.0),
    convention="infinite at 0",
)

cbrt = gate(
    "np.cbrt(x)",
    backward={"x": "dz / (3 * z**2)"},
    dtype="float",
    proof="x**Rational(1, 3)",
    domain=(0.2, 4.0),
    convention="infinite at 0",
)

reciprocal = gate("np.reciprocal(x)", backward={"x": "-dz * z**2"}, proof="1 / x", domain=(0.5, 3.0))

hypot = gate(
    "np.hypot(x, y)",
    backward={"x": "dz * x / z", "y": "dz * y / z"},
    shape="(),()->()",
    dtype="float",
    proof="sqrt(x**2 + y**2)",
    domain=(0.5, 3.0),
    convention="nan at the origin",
)

# Trigonometric functions

sin = gate("np.sin(x)", backward={"x": "dz * np.cos(x)"}, dtype="float", proof="sin(x)")

cos = gate("np.cos(x)", backward={"x": "-dz * np.sin(x)"}, dtype="float", proof="cos(x)")

tan = gate("np.tan(x)", backward={"x": "dz * (1 + z**2)"}, dtype="float", proof="tan(x)", domain=(-1.2, 1.2))

arcsin = gate(
    "np.arcsin(x)",
    also=("np.asin(x)",),
    backward={"x": "dz / np.sqrt(1 - np.square(x))"},
    dtype="float",
    proof="asin(x)",
    domain=(-0.9, 0.9),
)

arccos = gate(
    "np.arccos(x)",
    also=("np.acos(x)",),
    backward={"x": "-dz / np.sqrt(1 - np.square(x))"},
    dtype="float",
    proof="acos(x)",
    domain=(-0.9, 0.9),
)

arctan = gate(
    "np.arctan(x)",
    also=("np.atan(x)",),
    backward={"x": "dz / (1 + np.square(x))"},
    dtype="float",
    proof="atan(x)",
)

arctan2 = gate(
    "np.arctan2(x, y)",
    also=("np.atan2(x, y)",),
    backward={
        "x": "dz * y / (x**2 + y**2)",
        "y": "-dz * x / (x**2 + y**2)",
    },
    shape="(),()->()",
    dtype="float",
    proof="atan2(x, y)",
    domain=(0.3, 3.0),
    convention="nan at the origin",
    samples={"lists": False},
)

sinc = gate(
    "np.sinc(x)",
    backward={"x": "dz * (np.cos(np.pi * x) - z) / (x + (x == 0))"},
    dtype="float",
    proof="sin(pi * x) / (pi * x)",
    convention="gradient 0 at 0",
    samples={"lists": False},
)

deg2rad = gate(
    "np.deg2rad(x)",
    also=("np.radians(x)",),
    backward={"x": "dz * (np.pi / 180)"},
    dtype="float",
    proof="pi * x / 180",
)

rad2deg = gate(
    "np.rad2deg(x)",
    also=("np.degrees(x)",),
    backward={"x": "dz * (180 / np.pi)"},
    dtype="float",
    proof="180 * x / pi",
)

# Hyperbolic functions

sinh = gate("np.sinh(x)", backward={"x": "dz * np.cosh(x)"}, dtype="float", proof="sinh(x)")

cosh = gate("np.cosh(x)", backward={"x": "dz * np.sinh(x)"}, dtype="float", proof="cosh(x)")

tanh = gate("np.tanh(x)", backward={"x": "dz * (1 - z**2)"}, dtype="float", proof="tanh(x)")

arcsinh = gate(
    "np.arcsinh(x)",
    also=("np.asinh(x)",),
    backward={"x": "dz / np.sqrt(np.square(x) + 1)"},
    dtype="float",
    proof="asinh(x)",
)

arccosh = gate(
    "np.arccosh(x)",
    also=("np.acosh(x)",),
    backward={"x": "dz / np.sqrt(np.square(x) - 1)"},
    dtype="float",
    proof="acosh(x)",
    domain=(1.2, 4.0),
)

arctanh = gate(
    "np.arctanh(x)",
    also=("np.atanh(x)",),
    backward={"x": "dz / (1 - np.square(x))"},
    dtype="float",
    proof="atanh(x)",
    domain=(-0.9, 0.9),
)
