"""Normal distributions of any mean and deviation, in terms of the standard one: `norm.pdf(x, mu, sigma)`."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping

_NORMAL = "scipy.stats.norm."
# By the function, and which of its arguments are given: f is the standard function, np.log that of NumPy.
_IN_STANDARD = {
    "pdf": {"loc": "f(x - loc)", "scale": "f(x / scale) / scale", "both": "f((x - loc) / scale) / scale"},
    "logpdf": {
        "loc": "f(x - loc)",
        "scale": "f(x / scale) - np.log(scale)",
        "both": "f((x - loc) / scale) - np.log(scale)",
    },
    "cdf": {"loc": "f(x - loc)", "scale": "f(x / scale)", "both": "f((x - loc) / scale)"},
    "sf": {"loc": "f(x - loc)", "scale": "f(x / scale)", "both": "f((x - loc) / scale)"},
    "ppf": {"loc": "loc + f(x)", "scale": "scale * f(x)", "both": "loc + scale * f(x)"},
}


def standardised(path: str, node: ast.Call, imports: Mapping[str, str]) -> ast.Lambda | None:
    """What a call of a normal distribution with a mean or a deviation computes, as a function of its arguments; None
    for any other call."""
    forms = _IN_STANDARD.get(path.removeprefix(_NORMAL)) if path.startswith(_NORMAL) else None
    names = ["loc", "scale"]
    given = set(names[: len(node.args) - 1]) | {keyword.arg for keyword in node.keywords}
    if forms is None or not node.args or len(node.args) > 3 or not given or not given <= set(names):
        return None
    text = forms["both" if len(given) == 2 else str(*given)]
    numpy = next((name for name, module in imports.items() if module == "numpy"), None)
    if numpy is None and "np.log" in text:
        return None
    made = ast.parse(f"lambda {', '.join(['x', *(one for one in names if one in given)])}: {text}", mode="eval").body
    assert isinstance(made, ast.Lambda)
    for part in ast.walk(made):
        match part:
            case ast.Call(func=ast.Name(id="f")):
                part.func = copy.deepcopy(node.func)
            case ast.Attribute(value=ast.Name(id="np")) if numpy is not None:
                part.value = ast.Name(numpy, ast.Load())
    for part in ast.walk(made):
        ast.copy_location(part, node)
    return made
