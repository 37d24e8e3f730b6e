"""Arguments for somebody's function: what it takes (`describe`), and values that fit (`draw`, `draw_until`).

    parameters = describe(source, "model.py", "two_layer_net", Options())
    arguments = draw_until(parameters, seed=0, size=0, run=lambda given: two_layer_net(**given))

The keys of what is drawn say how each value reaches the function:

    x             an argument: it is given by this name
    __init__.n    an argument of the constructor of the class
    self.W        an attribute

An object is made in this order (`placed` does it in this process, `split` gives the three parts to one that does it
elsewhere): `Class(**constructor arguments)`, where the class has a constructor; `Class.__new__(Class)`, where it has
none, or its constructor raises; then every `self.` attribute is set, the constructor's own value replaced. Attributes
that the constructor makes and whose shape the compiler does not know are not among the parameters: the constructor's
value stands, and has the right shape; who wants other numbers there replaces them by some of the same shape
(`flatgrad.checking.subject.refreshed` does).

What is drawn is made of float64 and int64 arrays, Python numbers, strings, booleans, None, and dicts and lists of
those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flatgrad.checking.describing import describe_function
from flatgrad.checking.drawing import Choices, draw_all, sizes_for
from flatgrad.checking.fitting import Fitted, NoArguments, Run, drawn, fit
from flatgrad.checking.parameters import Domain, Parameter, Role, Where

if TYPE_CHECKING:
    from flatgrad.options import Options

__all__ = [
    "Domain",
    "Fitted",
    "NoArguments",
    "Parameter",
    "Role",
    "Split",
    "Where",
    "describe",
    "draw",
    "draw_until",
    "drawn",
    "fit",
    "placed",
    "split",
]


def describe(source: str, filename: str, function: str, options: Options) -> tuple[Parameter, ...]:
    """What a function reads from outside.

    The compiler's types are used where it accepts the function, else annotations, the docstring, how the text uses each
    name, and the names themselves. Nothing is imported or run.

    Args:
        filename: where the source stands; what it imports from files beside it is read there.
        function: `f`, `f_forward` or its base name, `Class`, `Class.forward`, `Class.method`.
        options: `shapes` are claims as they are to the compiler; `declared` gates are known.
    Raises:
        LookupError: there is no such function.
        Refused: the source is not Python.
    """
    return describe_function(source, filename, function, options)


def draw(parameters: Iterable[Parameter], seed: int, size: int) -> dict[str, Any]:
    """Arguments by name, without a trial: the same for the same seed and size.

    `size` 0 gives dims between 2 and 6, as different as possible; 1 one row; 2 and more dims between 1 and 6, and
    other choices among modes, strides, pads.
    """
    parameters = tuple(parameters)
    return draw_all(parameters, seed, Choices(sizes_for(parameters, seed, size), size, size))


def draw_until(parameters: Iterable[Parameter], seed: int, size: int, run: Run) -> dict[str, Any]:
    """Arguments that `run` accepts: ranks, equal dims and ranges are found by trial.

    Where several sizes or seeds are wanted, `fit` once and then `drawn` for each is the same, and faster.

    Args:
        run: runs the function on the arguments, which it may change, and raises where they do not fit: the function's
            own exception, or another one with NumPy's message as its text; FloatingPointError where the result is not
            finite or empty. An attribute `kind` of the exception may give the name of the original one, an attribute
            `progress` (an integer) how many statements were run before it, or `line` in which line it was raised.
    Raises:
        NoArguments: nothing that was tried is accepted; `last` is what `run` raised at the best try.
    """
    return drawn(fit(parameters, run), seed, size, run)


@dataclass(frozen=True, slots=True)
class Split:
    """Arguments by how they reach the function."""

    arguments: dict[str, Any]
    constructor: dict[str, Any]
    attributes: dict[str, Any]


def split(drawn: Mapping[str, Any]) -> Split:
    """The arguments, those of the constructor and the attributes, each under its bare name."""
    found = Split({}, {}, {})
    for name, value in drawn.items():
        if name.startswith("__init__."):
            found.constructor[name.removeprefix("__init__.")] = value
        elif name.startswith("self."):
            found.attributes[name.removeprefix("self.")] = value
        else:
            found.arguments[name] = value
    return found


def placed(owner: type, parts: Split) -> Any:
    """An object with these attributes. What its constructor raises is raised where it cannot do without one."""
    if "__init__" in vars(owner) or any("__init__" in vars(base) for base in owner.__mro__[1:-1]):
        try:
            made = owner(**parts.constructor)
        except Exception:
            if not parts.attributes:
                raise
            made = object.__new__(owner)
    else:
        made = object.__new__(owner)
    for name, value in parts.attributes.items():
        setattr(made, name, value)
    return made
