"""The results of a function that are its own backward matter: caches, gradients, displays of intermediates.

They are told by their names, as a reader tells them. Nothing hangs on a wrong guess but what is differentiated: a note
says what falls away, and a choice of results on the command line overrules it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from flatgrad.frontend.library_effects import ARRAY_ATTRIBUTES
from flatgrad.frontend.liveness import arguments, bound_names, own_statements, reads, root_name, stores

_NAMED = re.compile(r"(\w*_)?caches?|grads?|gradients?")
_GRADIENT = ("d{0}", "d_{0}", "grad_{0}", "{0}_grad", "dL_d{0}", "dLd{0}")


def gives_gradients(name: str, functions: Container[str]) -> bool:
    """Whether a function is `f_value_and_grad` beside `f_forward` and `f_backward`: gradients are what it is for."""
    base = name.removesuffix("_value_and_grad")
    return base != name and f"{base}_forward" in functions and f"{base}_backward" in functions


def own_backward(node: ast.FunctionDef, functions: Container[str] = ()) -> dict[ast.expr, str]:
    """The elements of returned tuples that are the function's own backward matter, and why: 'cache', 'gradient',
    'display' (a tuple, dict or list of intermediates) or 'way' (`SOME_WAYS`). Never the first element, nor what is
    returned alone.

    Args:
        functions: the names of the functions in the file.
    """
    if gives_gradients(node.name, functions):
        return {}
    matter = Matter.of(node)
    found: dict[ast.expr, str] = {}
    for statement in own_statements(node.body):
        match statement:
            case ast.Return(value=ast.Tuple(elts=elements)) if all(isinstance(one, ast.Tuple) for one in elements):
                pass  # `return (0, 0), (top, bottom)`: there is nothing beside them
            case ast.Return(value=ast.Tuple(elts=[first, *others])):
                reasons = {element: reason for element in others if (reason := matter.reason(element))}
                plain = any(reason == "gradient" and not _is_whole_sum(one) for one, reason in reasons.items())
                needed = _needed(node, statement, first) if "gradient" in reasons.values() else set()
                for element, reason in reasons.items():
                    named = {name for name in reads(element) if matter.is_gradient(name, matter.known)}
                    # The first result is made of it; or it is a number that no gradient stands beside.
                    forward = bool(named & needed) or (_is_whole_sum(element) and not plain)
                    if reason != "gradient" or not forward:
                        found[element] = reason
    return found | dict.fromkeys(_not_on_every_way(node, found), SOME_WAYS)


# Why a result falls away that is returned behind others on some of the ways only.
SOME_WAYS = "way"


def _not_on_every_way(node: ast.FunctionDef, others: Container[ast.expr]) -> list[ast.expr]:
    """`if full: return loss, scores` and `return loss`: what stands behind the results that every way returns."""
    ways: list[list[ast.expr]] = []
    for statement in own_statements(node.body):
        if isinstance(statement, ast.Return) and statement.value is not None:
            value = statement.value
            elements = value.elts if isinstance(value, ast.Tuple) else [value]
            ways.append([one for one in elements if one not in others])
    texts = [[ast.unparse(one) for one in way] for way in ways]
    least = min((len(way) for way in ways), default=0)
    if not least or len({len(way) for way in ways}) == 1 or any(way[:least] != texts[0][:least] for way in texts):
        return []
    return [one for way in ways for one in way[least:]]


# Functions that make one number of an array where they are given no axis.
_WHOLE = frozenset({"sum", "mean", "max", "min", "prod", "norm", "vdot", "std", "var"})


def _is_whole_sum(element: ast.expr) -> bool:
    """`np.sum(dx * dx)`, `dx.mean()`: a number, and so not the gradient of an array."""
    match element:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name), args=given, keywords=[]):
            return name in _WHOLE and len(given) == (2 if name == "vdot" else 1)
        case ast.Call(func=ast.Attribute(attr="norm"), args=[_], keywords=[]):
            return True
        case ast.Call(func=ast.Attribute(attr=name), args=[], keywords=[]):
            return name in _WHOLE
    return False


def _needed(node: ast.FunctionDef, end: ast.Return, first: ast.expr) -> set[str]:
    """The names that the first result of a `return` is made of, wherever they are bound: what a step of gradient
    descent binds behind the loss is not among them."""
    found: set[str] = set()

    def before(body: list[ast.stmt], live: set[str]) -> set[str]:
        for statement in reversed(body):
            if isinstance(statement, ast.For | ast.While | ast.If | ast.With | ast.Try):
                blocks = [block for name in ("body", "orelse", "finalbody") if (block := getattr(statement, name, []))]
                inside = live
                while inside != (inside := inside.union(*(before(block, inside) for block in blocks))):
                    pass
                if inside != live or _stores_of(statement) & live:
                    heads = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.expr)]
                    inside = inside.union(*(reads(head) for head in heads))
                live = inside
                found.update(live)
                continue
            bound = _stores_of(statement) | {root_name(part) for part in ast.walk(statement) if _is_part(part)}
            if not bound & live:
                continue
            if isinstance(statement, ast.Assign) and all(isinstance(one, ast.Name) for one in statement.targets):
                live = live - bound
            live = live | reads(statement)
            found.update(live)
        return live

    def visit(body: list[ast.stmt]) -> set[str] | None:
        """What is live at the head of a block that the `return` stands in."""
        for position, statement in enumerate(body):
            inner = {*reads(first)} if statement is end else None
            for block in (getattr(statement, "body", []), getattr(statement, "orelse", [])):
                inner = inner if inner is not None or not block else visit(block)
            if inner is not None:
                found.update(inner)
                return before(body[:position], inner)
        return None

    visit(node.body)
    return found


def _stores_of(statement: ast.stmt) -> set[str]:
    return {part.id for part in ast.walk(statement) if isinstance(part, ast.Name) and _is_bound(part)}


def _is_bound(part: ast.Name) -> bool:
    return not isinstance(part.ctx, ast.Load)


def _is_part(part: ast.AST) -> bool:
    return isinstance(part, ast.Subscript | ast.Attribute) and not isinstance(part.ctx, ast.Load)


def own_backward_positions(node: ast.FunctionDef) -> dict[ast.Return, dict[int, str]]:
    """The same by `return` statement and position in its tuple; every `return` with a value has an entry."""
    found = own_backward(node)
    positions: dict[ast.Return, dict[int, str]] = {}
    for statement in own_statements(node.body):
        if isinstance(statement, ast.Return) and statement.value is not None:
            elements = statement.value.elts if isinstance(statement.value, ast.Tuple) else []
            positions[statement] = {
                position: found[element] for position, element in enumerate(elements) if element in found
            }
    return positions


@dataclass(frozen=True, slots=True)
class Matter:
    """The names that tell what is a gradient, and what is a display.

    Attributes:
        known: the parameters, their attributes and keys, and the module's variables that are read.
        parameters: the parameters.
        displays: names that only ever stand for tuples, dicts and lists.
        variables: every name that the function binds.
    """

    known: frozenset[str]
    parameters: frozenset[str]
    displays: frozenset[str]
    variables: frozenset[str]

    @staticmethod
    def of(node: ast.FunctionDef) -> Matter:
        parameters = frozenset(argument.arg for argument in arguments(node.args))
        fields: set[str] = set()
        for part in ast.walk(node):
            match part:
                case ast.Attribute(attr=name, ctx=ast.Load()) | ast.Subscript(slice=ast.Constant(str(name))):
                    if root_name(part) in parameters:
                        fields.add(name)
        bound = parameters | bound_names(node.body)
        known = parameters | (fields - ARRAY_ATTRIBUTES) | (reads(node) - bound)
        return Matter(known, parameters, _display_names(node) - parameters, bound)

    def is_gradient(self, name: str, known: frozenset[str]) -> bool:
        return any(name == pattern.format(one) for one in known for pattern in _GRADIENT)

    def reason(self, element: ast.expr) -> str:
        """Why a result falls away; '' if it does not."""
        match element:
            case ast.Name(id=name) if name in self.parameters:
                return ""  # a step size dt beside a time t
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name):
                if _NAMED.fullmatch(name):
                    return "cache" if "cache" in name else "gradient"
                if self.is_gradient(name, self.known):
                    return "gradient"
                return "display" if isinstance(element, ast.Name) and name in self.displays else ""
            case ast.Starred(value=value):
                return self.reason(value)
            case ast.Tuple() | ast.Dict() | ast.List() | ast.ListComp() | ast.DictComp():
                return "display"
            case ast.Subscript(value=value) | ast.Attribute(value=value) | ast.BinOp(left=value, op=ast.Div()):
                return self._part(value)
            case ast.Call(func=ast.Attribute(value=value), args=given):  # `dW.ravel()`, `np.concatenate([dW, db])`
                if root_name(value) in self.variables:
                    return self._part(value)
                names = {name for one in given for name in reads(one) & self.variables}
                reasons = {self._part(ast.Name(name, ast.Load())) for name in names}
                return "gradient" if reasons == {"gradient"} else ""
        return ""

    def _part(self, element: ast.expr) -> str:
        """A part of a list or of a dict that falls away need not."""
        reason = self.reason(element)
        return "" if reason == "display" else reason


def _display_names(node: ast.FunctionDef) -> frozenset[str]:
    found: set[str] = set()
    others: set[str] = set()
    for statement in own_statements(node.body):
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    for name, given in _paired(target, value):
                        if not (isinstance(given, ast.Constant) and given.value is None):
                            (found if given is not None and _is_display(given) else others).add(name)
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                if not _is_display(value):
                    others.add(name)
            case _:
                heads = [part for part in ast.iter_child_nodes(statement) if not isinstance(part, ast.stmt)]
                others |= {
                    part.id
                    for head in heads
                    for part in ast.walk(head)
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
                }
    return frozenset(found - others)


def _paired(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr | None]]:
    """Each name of a target with what it is given, None where that is a part of something."""
    match target, value:
        case ast.Name(id=name), _:
            yield name, value
        case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), (ast.Tuple(elts=values) | ast.List(elts=values))):
            if len(targets) == len(values):
                for one, given in zip(targets, values, strict=True):
                    yield from _paired(one, given)
                return
            yield from ((name, None) for name in stores(target))
        case _:
            yield from ((name, None) for name in stores(target))


def _is_display(node: ast.expr) -> bool:
    match node:
        case ast.Tuple() | ast.Dict() | ast.List() | ast.ListComp() | ast.DictComp():
            return True
        case ast.Call(func=ast.Name(id="dict" | "list" | "tuple" | "OrderedDict")):
            return True
        case ast.BinOp(left=left, op=ast.Mult(), right=right):  # `[None] * T`
            return _is_display(left) or _is_display(right)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_display(left) and _is_display(right)
    return False
