"""What a forward function gains, and the lines that are gathered around its statements while it is written."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from flatgrad.emit.callee import Callee
from flatgrad.emit.edits import Edits
from flatgrad.emit.labels import unread_names
from flatgrad.emit.residuals import Residuals
from flatgrad.frontend.environment import Lowered, Result
from flatgrad.frontend.source import Module, span_of
from flatgrad.ir.core import Call, DType, Kind, Relation, Stage, Value, every_step


@dataclass(frozen=True, slots=True)
class ForwardText:
    """`signature` is what stands between the parentheses; `lines` the body without indentation."""

    signature: str
    docstring: str | None
    lines: tuple[str, ...]
    results: tuple[str, ...]
    returned: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForwardPlan:
    """What a forward function gains.

    Attributes:
        names: what each named value is called.
        previous: what its name was called before.
        results: the results that are kept, and what they are called.
        calls: for each call that is differentiated, its function and the name of its cache.
        plain_calls: for each other call, how the function is called.
        cache: the names in the cache.
        guards: the lines at its head.
        floating: arrays that must not hold integers when a stage writes into them.
        aside: values that are kept under another name, as theirs is bound again.
        prepared: names in the cache that one way through the function leaves unbound, by the stage that may bind them.
    """

    names: Mapping[Value, str]
    previous: Mapping[Value, str]
    results: tuple[tuple[Result, str], ...]
    calls: Mapping[Call, tuple[Callee, str]]
    plain_calls: Mapping[Call, str]
    cache: tuple[str, ...]
    guards: tuple[str, ...]
    floating: Mapping[Stage, Value]
    aside: Mapping[Value, str]
    prepared: Mapping[Stage, tuple[str, ...]]
    bound_at: Mapping[str, frozenset[Stage]]


def numbered(lowered: Lowered) -> dict[Stage, int]:
    """A number for each statement that computes something that can carry a gradient."""
    computing = {
        step.stage
        for step in every_step(lowered.function.block)
        if isinstance(step, Relation | Call)
        and not (isinstance(step, Relation) and step.gate in ("collection", "constant") and step.span is None)
        and step.stage is not None
        and any(out.type.dtype.differentiable for out in step.outs)
    }
    numbers: dict[Stage, int] = {}
    for stage in lowered.stages:
        if stage in computing:
            numbers[stage] = len(numbers) + 1
    return numbers


class ForwardWriting:
    """The state of writing one function: edits of the user's text, and lines before, behind and inside statements."""

    def __init__(self, module: Module, lowered: Lowered, residuals: Residuals, plan: ForwardPlan) -> None:
        self.module = module
        self.lowered = lowered
        self.residuals = residuals
        self.plan = plan
        self.names = plan.names
        # `a = b; b += 1` makes of a what b is: where a is called otherwise now, b is what is read.
        self.renamed = {value.name for value, label in plan.names.items() if label != value.name}
        self.unread = unread_names(lowered)
        self.edits = Edits(module.text)
        self.before: dict[Stage, list[str]] = {}
        self.after: dict[Stage, list[str]] = {}
        self.heads: dict[Stage, list[str]] = {}
        self.tails: dict[Stage, list[str]] = {}
        self.numbers = numbered(lowered)
        self.statements = {
            span_of(module, statement): statement
            for statement in ast.walk(lowered.node)
            if isinstance(statement, ast.stmt)
        }
        self.stages = {stage.span: stage for stage in lowered.stages}
        self.changes = {
            step.stage: step
            for step in every_step(lowered.function.block)
            if isinstance(step, Relation) and step.stage is not None and step.attrs.get("into")
        }

    def _label(self, name: str, value: Value) -> str | None:
        """What a name in the text is to be called, None if as it is."""
        label = self.names.get(value, value.name)
        return label if label != value.name or (name != value.name and name in self.renamed) else None

    def _statement(self, stage: Stage) -> ast.stmt:
        return self.statements[stage.span]

    def _on_one_line(self, text: str) -> str:
        return ast.unparse(ast.parse(f"({text})", mode="eval")) if "\n" in text else text

    def _is_unread(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                return name in self.unread
        return False


def copy_text(source: str, value: Value) -> str:
    """The text of a copy: a product with 1.0 where a number may stand there as well, `+n` where that is an integer."""
    node = ast.parse(source, mode="eval").body
    if value.type.kind is Kind.ARRAY:
        return ast.unparse(ast.Call(ast.Attribute(node, "copy", ast.Load()), [], []))
    if value.type.dtype is DType.INT:
        return ast.unparse(ast.UnaryOp(ast.UAdd(), node))
    return ast.unparse(ast.BinOp(ast.Constant(1.0), ast.Mult(), node))
