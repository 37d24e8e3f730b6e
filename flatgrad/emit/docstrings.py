"""The docstrings of a generated module: of the module itself, of each forward and each backward function."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import PurePath

from flatgrad import __version__
from flatgrad.emit.backward_text import BackwardText
from flatgrad.emit.forward_plan import ForwardText
from flatgrad.emit.plan import FunctionPlan, FunctionText, ModulePlan
from flatgrad.frontend.borrowed import Pair
from flatgrad.frontend.claim import Claim
from flatgrad.frontend.methods import MARK
from flatgrad.ir.dims import Shape


def forward_docstring(one: FunctionPlan, forward: ForwardText) -> str:
    """The user's own, and the shapes that stood in the annotations."""
    own = _quoted((forward.docstring or "").strip())
    if own and _begins_below(one.lowered.node):
        own = f"\n{own}"
    said: dict[str, Claim] = {}
    for claim in one.claims:
        if claim.origin in ("annotation", "option") and claim.shape is not None and is_spoken(claim.shape):
            said.setdefault(claim.name, claim)
    shapes = ", ".join(
        f"{claim.name} {claim.shape}" + (" int" if claim.dtype is not None and claim.dtype.value == "int" else "")
        for claim in said.values()
    )
    if not shapes:
        return own + ("\n" if "\n" in own else "")
    line = f"Shapes: {shapes}."
    if not own:
        return line
    return f"{own}\n\n{line}\n"


def _quoted(text: str) -> str:
    """A docstring as it stands between its quotes."""
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return text[:-1] + '\\"' if text.endswith('"') and not text.endswith('\\"') else text


def _begins_below(node: ast.FunctionDef) -> bool:
    """Whether a docstring begins on the line below its quotes."""
    match node.body[0]:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text.lstrip(" \t").startswith("\n")
    return False


def backward_docstring(one: FunctionPlan, text: BackwardText) -> str:
    shapes = [value.type.shape for value in one.backward.wrt]
    if not any(shape.rank is not None and is_spoken(shape) for shape in shapes):
        return ""
    gradients = ", ".join(
        f"d{v.name} {v.type.shape}" if is_spoken(v.type.shape) else f"d{v.name} like {v.name}" for v in one.backward.wrt
    )
    upstream = [
        (name, one.lowered.results[position].value.type.shape)
        for name, position in zip(text.upstream, one.backward.upstream, strict=True)
    ]
    head = "Gradient" if len(one.backward.wrt) == 1 else "Gradients"
    if len(upstream) == 1 and upstream[0][1].is_scalar:
        result = one.lowered.results[one.backward.upstream[0]]
        return f"{head} of {result.name or 'out'}: {gradients}."
    source = ", ".join(f"{name} {shape}" if is_spoken(shape) else name for name, shape in upstream)
    return f"{head} from {source}: {gradients}."


def is_spoken(shape: Shape) -> bool:
    """Whether every dim has a name that the user gave, or is a number."""
    return shape.dims is not None and all(name.isidentifier() for dim in shape.dims for name in dim.symbols())


def title(plan: ModulePlan) -> str:
    file = PurePath(plan.module.filename).name
    methods = plan.module.methods
    what = f"for `{plan.functions[0].base}` in {file}" if len(plan.functions) == 1 else f"for {file}"
    if all(one.name in methods for one in plan.functions):
        classes = list(dict.fromkeys(methods[one.name].owner.name for one in plan.functions))
        what = f"for the classes of {file}" if len(classes) > 1 else f"for the class `{classes[0]}` in {file}"
    options = f" ({plan.command})" if plan.command else ""
    return f"Flat gradient code {what}, written by flatgrad {__version__}{options}."


def table(functions: Iterable[FunctionText]) -> list[str]:
    rows: list[tuple[str, str]] = []
    for one in functions:
        parameters = one.arguments
        results = ", ".join(one.results)
        gradients = ", ".join(one.gradients)
        rows.append((f"{one.forward_name}({parameters})", f"{results}, cache"))
        rows.append((f"{one.backward_name}({one.backward_parameters})", gradients))
        if one.value_and_grad_name:
            both = gradients if len(one.gradients) == 1 else f"({gradients})"
            rows.append((f"{one.value_and_grad_name}({parameters})", f"{results}, {both}"))
    width = max((len(call) for call, _ in rows), default=0)
    return [f"{call.ljust(width)} -> {gives}" for call, gives in rows]


def notes(functions: tuple[FunctionText, ...], pairs: Iterable[Pair]) -> list[str]:
    found = ["Between forward and backward the caller leaves arguments and results as they are."]
    if any(MARK in name for one in functions for name in one.arguments.split(", ")):
        found = ["Between forward and backward the caller leaves arguments, attributes and results as they are."]
    lines = "\n".join(line for one in functions for line in one.backward_lines)
    called = [pair.backward for pair in pairs if re.search(rf"(?<![\w.]){re.escape(pair.backward)}\(", lines)]
    if called:
        several = ", ".join(called[:-1]) + " and " if called[1:] else ""
        found.append(f"Calls {several}{called[-1]} of the user's, whose gradients are not checked.")
    return found
