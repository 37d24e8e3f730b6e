"""Second derivatives: the generated module, with a function that returns its gradients, is compiled again.

A gradient that is a dict or a list is returned as one number, projected on a direction: functions return arrays.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flatgrad.checking.contract import returned_names
from flatgrad.checking.state import Key, Path

if TYPE_CHECKING:
    from flatgrad.compiler import Compiled
    from flatgrad.options import Options

GRADIENT = "_gradients"


@dataclass(frozen=True, slots=True)
class Twice:
    """A module that was compiled twice.

    Attributes:
        first: the generated module, with `f_gradients(parameters) -> gradients` at its end: the function whose
            gradients are second derivatives. Of a result that is an array it takes the upstream gradient as well, of
            a gradient that is a dict or a list a direction.
        second: what the compiler wrote for that function.
        function: its name.
        upstream: the names of the upstream gradients among its parameters.
        directions: the names of the directions among them, by the place of the gradient.
    """

    first: str
    second: Compiled
    function: str
    upstream: tuple[str, ...]
    directions: Mapping[int, str]


def compiled_twice(
    text: str,
    filename: str,
    base: str,
    wrt: Sequence[str],
    options: Options,
    ranks: Sequence[int],
    entries: Mapping[int, Sequence[Path]],
) -> Twice:
    """Compile the gradients of `base` in a generated module.

    Args:
        ranks: of the results that have upstream gradients.
        entries: of each gradient that is a dict or a list, by its place, the ways to the arrays in it, from the
            parameter that it is of.
    Raises:
        Refused: the compiler does not accept it; the diagnostics are about `Twice.first`, which stands in `source`.
        LookupError: the module has no `<base>_forward` and `<base>_backward`.
    """
    from flatgrad.compiler import compile_source
    from flatgrad.diagnostics import Refused

    function, upstream, directions, first = with_gradients(text, base, tuple(ranks) == (0,), entries)
    known = [name for name, _ in options.shapes]
    shapes = tuple(
        (name, ",".join(f"{name}_{k}" for k in range(rank)))
        for name, rank in zip(upstream, ranks, strict=False)
        if name not in known
    )
    chosen = replace(
        options,
        functions=(function,),
        wrt=(*wrt, *upstream),
        output="",
        stages="source",
        shapes=(*_of_function(options.shapes, first, function), *shapes),
    )
    try:
        second = compile_source(first, filename, chosen)
    except Refused as refused:
        raise Refused(refused.diagnostics, first, filename) from None
    return Twice(first, second, function, upstream, directions)


def _of_function(shapes: Sequence[tuple[str, str]], text: str, function: str) -> tuple[tuple[str, str], ...]:
    """The claims about parameters that the function has."""
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == function)
    names = {one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    return tuple((name, dims) for name, dims in shapes if name in names)


def with_gradients(
    text: str, base: str, scalar: bool, entries: Mapping[int, Sequence[Path]]
) -> tuple[str, tuple[str, ...], dict[int, str], str]:
    """The name of the function that returns the gradients, its upstream gradients, its directions by the place of the
    gradient, and the module that has it.

    Args:
        scalar: there is one result, and it is one number: its upstream gradient is 1, and no parameter.
        entries: as for `compiled_twice`.
    """
    tree = ast.parse(text)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    forward, backward = functions.get(f"{base}_forward"), functions.get(f"{base}_backward")
    if forward is None or backward is None:
        raise LookupError(f"there is no {base}_forward with a {base}_backward in the module")
    upstream = [argument.arg for argument in backward.args.args[:-1]]
    names = [one.arg for one in (*forward.args.posonlyargs, *forward.args.args)]
    given = ", ".join([*names, *(f"{one.arg}={one.arg}" for one in forward.args.kwonlyargs)])
    function = f"{base}{GRADIENT}"
    directions = {place: f"{base}_direction{place}" for place in entries}
    taken = [*(() if scalar else upstream), *directions.values()]
    results = [f"{base}_out{place}" for place in range(len(upstream))]
    # Not d<parameter>: such a result would be taken for the user's own backward matter, and fall away.
    made = [f"{base}_slope{place}" for place in range(max(len(returned_names(backward)), 1))]
    numpy = _numpy_name(tree)
    body = [] if numpy or not entries else ["import numpy as np\n\n"]
    body += [
        f"def {function}({', '.join([*taken, ast.unparse(forward.args)])}):",
        f"    {', '.join(results)}, cache = {base}_forward({given})",
        f"    {', '.join(made)} = {base}_backward({'1.0' if scalar else ', '.join(upstream)}, cache)",
    ]
    for place, paths in entries.items():
        steps = ["".join(f"[{step.name!r}]" for step in path[1:] if isinstance(step, Key)) for path in paths]
        total = " + ".join(f"{numpy or 'np'}.sum({directions[place]}{step} * {made[place]}{step})" for step in steps)
        body.append(f"    {made[place]}_along = {total}")
        made[place] += "_along"
    body.append(f"    return {', '.join(made)}")
    return (
        function,
        () if scalar else tuple(upstream),
        directions,
        text.rstrip("\n") + "\n\n\n" + "\n".join(body) + "\n",
    )


def _numpy_name(tree: ast.Module) -> str:
    """What a module calls NumPy; empty where it does not import it."""
    imported = [one for node in tree.body if isinstance(node, ast.Import) for one in node.names]
    return next((one.asname or one.name for one in imported if one.name == "numpy"), "")
