"""The two methods that a method of the user's becomes, and their row in the table at the head of the module."""

from __future__ import annotations

from collections.abc import Sequence

from flatgrad.emit.docstrings import is_spoken
from flatgrad.emit.method_lines import KeptNames, MethodLines
from flatgrad.emit.plan import FunctionPlan, FunctionText, MethodText
from flatgrad.frontend.methods import MARK, Method, bare

# One row of the table at the head of the module.
Row = tuple[str, str]


def method_pair(
    plan: FunctionPlan, method: Method, text: FunctionText, kept: KeptNames
) -> tuple[tuple[MethodText, MethodText], Row]:
    backward_name = backward_method_name(method)
    owner = method.owner.name
    results = ", ".join(text.results)
    if not method.receiver:
        forward = MethodText("@staticmethod", method.name, text.forward.signature, text.docstring, text.forward.lines)
        lines = (*text.backward_lines, f"return {text.backward_results}")
        backward = MethodText("@staticmethod", backward_name, text.backward_parameters, text.backward_docstring, lines)
        gradients = ", ".join(text.gradients)
        row = (
            f"{owner}.{method.name}({text.arguments}) -> {results}, cache;",
            f"{owner}.{backward_name}({text.backward_parameters}) -> {gradients}",
        )
        return (forward, backward), row
    writer = MethodLines(plan, method, text, kept)
    forward_lines = writer.forward_lines()
    lines, returned, assigned = writer.backward_lines()
    parameters = text.backward_parameters.rpartition(", ")[0]
    upstream = [one for one in parameters.split(", ") if one]
    said = _backward_docstring(plan, [writer.upstream.get(name, name) for name in upstream], method)
    own = _own_signature(method, text.forward.signature)
    signature = f"{method.receiver}, {own}" if own else method.receiver
    forward = MethodText("", method.name, signature, text.docstring.replace(method.receiver + MARK, ""), forward_lines)
    renamed = [writer.upstream.get(name) or writer.local(name) for name in upstream]
    backward = MethodText("", backward_name, ", ".join([method.receiver, *renamed]), said, lines)
    arguments = ", ".join(name for name in text.arguments.split(", ") if name and MARK not in name)
    spoken_results = ["out" if f"d{name}" in writer.upstream else bare(name) for name in text.results]
    gives = f" -> {', '.join(returned)}" if returned else ""
    sets = f"{',' if returned else ''} sets {', '.join(assigned)}" if assigned else ""
    row = (
        f"{owner}.{method.name}({arguments}) -> {', '.join(spoken_results)};",
        f"{owner}.{backward_name}({', '.join(renamed)}){gives}{sets}",
    )
    return (forward, backward), row


def backward_method_name(method: Method) -> str:
    return "backward" if method.is_forward else f"{method.name}_backward"


def _own_signature(method: Method, signature: str) -> str:
    """The parameters without the attributes, which stand at the end, or before `**kwargs`."""
    if not method.attributes:
        return signature
    named = method.node.args.kwarg
    last = f"**{named.arg}" if named is not None else ""
    added = ", ".join(method.attributes)
    rest = signature.removesuffix(last).rstrip(", ").removesuffix(added).rstrip(", ")
    own = rest.removesuffix("*").rstrip(", ") if rest.endswith("*") else rest
    return ", ".join(part for part in (own, last) if part)


def _backward_docstring(plan: FunctionPlan, upstream: Sequence[str], method: Method) -> str:
    """`Gradients from dout (N, M): returns dx (N, D); sets dW (D, M), db (M,).`"""
    wrt = plan.backward.wrt
    if not any(is_spoken(value.type.shape) for value in wrt):
        return ""

    def said(attributes: bool) -> str:
        chosen = [value for value in wrt if (MARK in value.name and method.is_forward) is attributes]
        return ", ".join(
            f"d{bare(value.name)} {value.type.shape}"
            if is_spoken(value.type.shape)
            else f"d{bare(value.name)} like {bare(value.name)}"
            for value in chosen
        )

    results = [plan.lowered.results[position] for position in plan.backward.upstream]
    head = "Gradient" if len(wrt) == 1 else "Gradients"
    if len(results) == 1 and results[0].value.type.shape.is_scalar:
        source = f"{head} of {bare(results[0].name) or 'out'}"
    else:
        shapes = [result.value.type.shape for result in results]
        parts = [
            f"d{bare(name[1:])}{f' {shape}' if is_spoken(shape) else ''}"
            for name, shape in zip(upstream, shapes, strict=True)
        ]
        source = f"{head} from {', '.join(parts)}"
    returned, assigned = said(False), said(True)
    parts = ([f"returns {returned}"] if returned else []) + ([f"sets {assigned}"] if assigned else [])
    return f"{source}: {'; '.join(parts)}."
