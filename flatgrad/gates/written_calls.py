"""How a declaration writes the function and the call that it is about: `mylib.swish(x)`, `np.unwrap(x)`."""

from __future__ import annotations

import ast
import re

from flatgrad.gates.entry import OWN, Spelling
from flatgrad.ir.core import Attribute

# What the names of the language of spellings stand for there, and can therefore be no operand and no attribute.
RESERVED = frozenset({"z", "dz", "xs", "dzs", "np", "math", "special", "into", "unbroadcast", "scatter_add", "slice"})
_LIBRARIES = {"np": "numpy", "numpy": "numpy", "math": "math", "special": "scipy.special"}
SPELLED = {"numpy": "np", "math": "math", "scipy.special": "special"}


# Calls


def read_path(text: str) -> str:
    """The path of a dotted name as it is written in a declaration: `np.unwrap` -> `numpy.unwrap`."""
    root, dot, rest = text.partition(".")
    if not dot:
        return f"{OWN}.{root}"
    return f"{_LIBRARIES.get(root, root)}.{rest}"


def spelled(path: str) -> str:
    """How a path is written in a declaration."""
    for library, name in SPELLED.items():
        if path.startswith(f"{library}."):
            return f"{name}.{path.removeprefix(f'{library}.')}"
    return path.removeprefix(f"{OWN}.")


def read_spelling(text: str) -> Spelling:
    """The call of a function, with its operands and attributes. Raises ValueError, which says what is wrong."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError("it is no expression") from None
    if not isinstance(node, ast.Call):
        raise ValueError("it is no call of a function, such as `mylib.f(x)`")
    parts: list[str] = []
    function = node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name):
        raise ValueError("what is called is no dotted name")
    written = ".".join([function.id, *reversed(parts)])
    names: list[str] = []
    defaults: dict[str, Attribute] = {}
    for argument in node.args:
        if not isinstance(argument, ast.Name):
            raise ValueError(f"the parameter {ast.unparse(argument)} is no name")
        names.append(argument.id)
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("** is no parameter")
        names.append(keyword.arg)
        try:
            defaults[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:
            raise ValueError(f"the default value of {keyword.arg} is no literal") from None
    for name in names:
        if name in RESERVED or re.fullmatch(r"\w\d+", name):
            raise ValueError(f"{name} means something else in a spelling: call the parameter otherwise")
        if names.count(name) > 1:
            raise ValueError(f"two parameters are called {name}")
    if parts and function.id in ("builtins", "group"):
        raise ValueError(f"gates of flatgrad are called {function.id}.…: import the module by another name")
    if function.id in names:
        raise ValueError("methods cannot be declared, only functions")
    if not names:
        raise ValueError("it has no operand")
    path = read_path(written)
    canonical = ast.unparse(ast.Call(ast.parse(spelled(path), mode="eval").body, node.args, node.keywords))
    return Spelling(canonical, path, tuple(names), defaults)
