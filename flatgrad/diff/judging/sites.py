"""The forward half of the instrumentation: every numeric expression becomes a site where a probe can add to it.

    h = np.tanh(x @ W)      becomes      h = at(4, np.tanh(at(3, at(1, x) @ at(2, W)))); h = at(5, h)

`at(k, value)` gives its value back, unless the run probes site `k`. So the derivative of the result with respect to any
definition, any single use and any subexpression can be measured, without regard to what anything is called.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator
from dataclasses import dataclass

RECORDER = "__recorder__"
_NO_NUMBERS = frozenset({"shape", "dtype", "ndim", "size"})
_NO_NUMBER_KEYWORDS = frozenset({"axis", "axes", "keepdims", "dtype", "out", "shape", "order", "mode"})


class Role(enum.Enum):
    """What stands at a site."""

    PARAMETER = "parameter"  # a parameter, at the head of the function
    DEFINITION = "definition"  # a variable, just bound
    USE = "use"  # a variable, read once
    PART = "part"  # an expression without a name


@dataclass(frozen=True, slots=True)
class Site:
    """A place of the forward pass that can be probed.

    Attributes:
        index: its number in the instrumented program.
        line: the first line of its statement.
        text: the expression as written.
        variable: the forward variable that it defines or reads: `x`, `W` of `self.W`, `W1` of `params["W1"]`; empty
            for a part, and for an entry whose key is made at run time (then the run tells).
        within: the variables that its statement binds.
    """

    index: int
    line: int
    text: str
    variable: str
    role: Role
    within: tuple[str, ...]


def spoken(target: ast.expr) -> str:
    """What a name, an attribute of self or an entry is called as a variable; empty for anything else."""
    match target:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Subscript(value=value, slice=index) if not isinstance(index, ast.Tuple | ast.Slice):
            return spoken(value)
        case _:
            return ""


def bound_targets(targets: list[ast.expr]) -> Iterator[ast.expr]:
    """The single targets of an assignment, those inside tuples too."""
    for target in targets:
        match target:
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                yield from bound_targets(parts)
            case ast.Starred(value=value):
                yield from bound_targets([value])
            case _:
                yield target


def call(method: str, *arguments: ast.expr | int | str) -> ast.Call:
    """A call of the recorder: `__recorder__.method(arguments)`."""
    wrapped = [one if isinstance(one, ast.expr) else ast.Constant(one) for one in arguments]
    return ast.Call(ast.Attribute(ast.Name(RECORDER, ast.Load()), method, ast.Load()), wrapped, [])


def loaded(target: ast.expr) -> ast.expr:
    """The target as it is read."""
    expression = ast.parse(ast.unparse(target), mode="eval").body
    return expression


class ForwardSites(ast.NodeTransformer):
    """Puts sites into forward statements. `known`: names that are no numbers (modules, functions, builtins)."""

    def __init__(self, known: frozenset[str]) -> None:
        self.known = known
        self.sites: list[Site] = []
        self.line = 0
        self.within: tuple[str, ...] = ()

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """The statement with its sites, and what defines the sites of the names that it binds."""
        self.line = node.lineno
        match node:
            case ast.Assign(targets=targets, value=value):
                self.within = tuple(name for one in bound_targets(targets) if (name := spoken(one)))
                node.value = self.visit(value)
                return [node, *self._definitions(list(bound_targets(targets)))]
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.within = (spoken(target),)
                node.value = self.visit(value)
                return [node, *self._definitions([target])]
            case ast.AugAssign(target=target, value=value):
                self.within = (spoken(target),)
                node.value = self.visit(value)
                return [node, *self._definitions([target])]
            case ast.Expr(value=value) | ast.Return(value=ast.expr() as value):
                self.within = ()
                node.value = self.visit(value)
                return [node]
            case _:
                return [node]

    def loop_head(self, node: ast.For) -> list[ast.stmt]:
        """The sites of a loop's iterable; gives what defines the sites of its targets, for the head of its body."""
        self.line = node.lineno
        self.within = ()
        targets = list(bound_targets([node.target]))
        node.iter = self.visit(node.iter)
        return self._definitions(targets)

    def parameters(self, node: ast.FunctionDef) -> list[ast.stmt]:
        """What defines the sites of a function's parameters, for the head of its body."""
        self.line = node.lineno
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = [one.arg for one in arguments if one.arg not in ("self", "cls")]
        return self._definitions([ast.Name(name, ast.Store()) for name in names], Role.PARAMETER)

    def _definitions(self, targets: list[ast.expr], role: Role = Role.DEFINITION) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for target in targets:
            variable = spoken(target)
            if not variable:
                continue
            index = self._site(ast.unparse(target), variable, role)
            made.append(ast.Assign([target], call("at", index, loaded(target))))
        return made

    def _site(self, text: str, variable: str, role: Role) -> int:
        self.sites.append(Site(len(self.sites), self.line, text, variable, role, self.within))
        return len(self.sites) - 1

    def _at(self, node: ast.expr, text: str, variable: str = "") -> ast.expr:
        role = Role.USE if variable else Role.PART
        made = call("at", self._site(text, variable, role), node)
        return ast.copy_location(made, node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.known or node.id == "self":
            return node
        return self._at(node, node.id, node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if self._module(node) or node.attr in _NO_NUMBERS:
            return node
        text = ast.unparse(node)
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return self._at(node, text, node.attr)
        node.value = self.visit(node.value)
        return self._at(node, text)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        text, variable = ast.unparse(node), spoken(node)
        node.value = self.visit(node.value)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if any(isinstance(part, ast.Slice | ast.Starred) for part in parts):
            return self._at(node, text)
        role = Role.USE if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str) else Role.PART
        made = call("item", self._site(text, variable, role), node.value, node.slice)
        return ast.copy_location(made, node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        text = ast.unparse(node)
        if isinstance(node.func, ast.Attribute) and not self._module(node.func):
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id in ("self", *self.known)):
                node.func.value = self.visit(node.func.value)
        node.args = [self.visit(one) for one in node.args]
        for keyword in node.keywords:
            if keyword.arg not in _NO_NUMBER_KEYWORDS:
                keyword.value = self.visit(keyword.value)
        return self._at(node, text)

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        node.value = self.visit(node.value)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        text = ast.unparse(node)
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        return self._at(node, text)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Not):
            return node
        text = ast.unparse(node)
        if isinstance(node.operand, ast.Constant):
            return node
        node.operand = self.visit(node.operand)
        return self._at(node, text)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        node.elt = self.visit(node.elt)
        return node

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        node.elt = self.visit(node.elt)
        return node

    def _nothing(self, node: ast.expr) -> ast.expr:
        return node

    visit_Compare = visit_BoolOp = visit_Lambda = visit_JoinedStr = visit_DictComp = visit_SetComp = _nothing

    def _module(self, node: ast.expr) -> bool:
        """`np`, `np.linalg`: no value of the forward pass."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.known and node.id != "self"
