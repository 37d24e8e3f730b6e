"""flatgrad reads a NumPy forward function and writes the backward pass that one would have written by hand.

import flatgrad

module = flatgrad.compile(f)          # a function, source text, or a path
print(module.source)
out, cache = module.forward(x, y)
dx, dy = module.backward(1.0, cache)

@flatgrad.value_and_grad(wrt="w")
def loss(w, x): ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flatgrad.diagnostics import Diagnostic, Refused
    from flatgrad.library import Module, compile, grad, value_and_grad

__version__ = "0.1.0"
__all__ = ["Diagnostic", "Module", "Refused", "__version__", "compile", "grad", "value_and_grad"]


def __getattr__(name: str) -> object:
    # Loaded when first asked for: `flatgrad --help` and completion need none of it.
    if name not in __all__:
        raise AttributeError(f"module 'flatgrad' has no attribute {name!r}")
    home = "flatgrad.diagnostics" if name in ("Diagnostic", "Refused") else "flatgrad.library"
    return globals().setdefault(name, getattr(import_module(home), name))
