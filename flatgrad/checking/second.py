"""Second derivatives: the generated module, with a function that returns its gradients, is compiled again."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flatgrad.checking.contract import returned_names

if TYPE_CHECKING:
    from flatgrad.compiler import Compiled
    from flatgrad.options import Options

GRADIENT = "_gradients"


@dataclass(frozen=True, slots=True)
class Twice:
    """A module that was compiled twice.

    Attributes:
        first: the generated module, with `f_gradients(parameters) -> gradients` at its end: the function whose
            gradients are second derivatives. Of a result that is an array it takes the upstream gradient as well.
        second: what the compiler wrote for that function.
        function: its name.
        upstream: the names of the upstream gradients among its parameters.
    """

    first: str
    second: Compiled
    function: str
    upstream: tuple[str, ...]


def compiled_twice(
    text: str, filename: str, base: str, wrt: Sequence[str], options: Options, ranks: Sequence[int]
) -> Twice:
    """Compile the gradients of `base` in a generated module.

    Args:
        ranks: of the results that have upstream gradients.
    Raises:
        Refused: the compiler does not accept it; the diagnostics are about `Twice.first`, which stands in `source`.
        LookupError: the module has no `<base>_forward` and `<base>_backward`.
    """
    from flatgrad.compiler import compile_source
    from flatgrad.diagnostics import Refused

    function, upstream, first = with_gradients(text, base, tuple(ranks) == (0,))
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
    return Twice(first, second, function, upstream)


def _of_function(shapes: Sequence[tuple[str, str]], text: str, function: str) -> tuple[tuple[str, str], ...]:
    """The claims about parameters that the function has."""
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == function)
    names = {one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    return tuple((name, dims) for name, dims in shapes if name in names)


def with_gradients(text: str, base: str, scalar: bool) -> tuple[str, tuple[str, ...], str]:
    """The name of the function that returns the gradients, its upstream gradients, and the module that has it.

    Args:
        scalar: there is one result, and it is one number: its upstream gradient is 1, and no parameter.
    """
    tree = ast.parse(text)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    forward, backward = functions.get(f"{base}_forward"), functions.get(f"{base}_backward")
    if forward is None or backward is None:
        raise LookupError(f"there is no {base}_forward with a {base}_backward in the module")
    upstream = [argument.arg for argument in backward.args.args[:-1]]
    parameters = ast.unparse(forward.args)
    names = [one.arg for one in (*forward.args.posonlyargs, *forward.args.args)]
    given = ", ".join([*names, *(f"{one.arg}={one.arg}" for one in forward.args.kwonlyargs)])
    function = f"{base}{GRADIENT}"
    first = ", ".join(upstream)
    head = f"def {function}({parameters}):" if scalar else f"def {function}({', '.join([first, parameters])}):"
    results = [f"{base}_out{place}" for place in range(len(upstream))]
    # Not d<parameter>: such a result would be taken for the user's own backward matter, and fall away.
    made = ", ".join(f"{base}_slope{place}" for place in range(max(len(returned_names(backward)), 1)))
    body = [
        f"    {', '.join(results)}, cache = {base}_forward({given})",
        f"    {made} = {base}_backward({'1.0' if scalar else first}, cache)",
        f"    return {made}",
    ]
    return function, () if scalar else tuple(upstream), text.rstrip("\n") + "\n\n\n" + "\n".join([head, *body]) + "\n"
