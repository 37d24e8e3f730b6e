"""From the syntax tree of one function to its IR.

Statements become stages, expressions become relations in the order in which Python evaluates them. Names are bound to
values by an environment; a name that is bound again gets a new value. Nothing is known of shapes here: every value is
open until `facts.infer` has read the result.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from flatgrad.diagnostics import Refused
from flatgrad.frontend.closures import altering_decorator
from flatgrad.frontend.contracts import UNKNOWN, Contract, Unclear
from flatgrad.frontend.effects import EffectLowering, writes_out
from flatgrad.frontend.enforced import enforced, proven
from flatgrad.frontend.environment import Dictionary, Filled, Lowered, Poison, Result, Static, Structure
from flatgrad.frontend.layers import layer_problems, method_problems
from flatgrad.frontend.lists import changed_lists, list_parameters
from flatgrad.frontend.liveness import live_after, own_statements
from flatgrad.frontend.memory import Known
from flatgrad.frontend.methods import Role
from flatgrad.frontend.own_backward import SOME_WAYS, gives_gradients, own_backward
from flatgrad.frontend.slicing import slice_function
from flatgrad.frontend.source import Module, span_of
from flatgrad.gates.entry import has_effect
from flatgrad.ir.core import Attribute, Block, Function, Literal, Relation, Span, Stage, Type, Value, every_step


@dataclass(frozen=True, slots=True)
class Context:
    """What lowering may ask for: the module, the other functions of the file, and what earlier rounds found out.

    `kinds` answers the questions of an earlier round: what is the value that a statement changes in place? `contract`
    says how the layers of a class are called; `described` are the parameters of which a shape is claimed.
    """

    module: Module
    callee: Callable[[str], Lowered]
    inlined: frozenset[str] = frozenset()
    kinds: Mapping[Span, Type] = field(default_factory=dict)
    contract: Callable[[str], Contract | Unclear] = lambda name: UNKNOWN
    described: frozenset[str] = frozenset()


def lower(node: ast.FunctionDef, context: Context) -> Lowered:
    """Lower one function.

    Raises:
        Refused: with every construct of the function that is not understood.
    """
    return _FunctionLowering(node, context).run()


class _FunctionLowering(EffectLowering):
    def __init__(self, node: ast.FunctionDef, context: Context) -> None:
        self.node = node
        self.gives_gradients = gives_gradients(node.name, context.module.functions)
        self.matter = own_backward(node, context.module.functions)
        ignored = frozenset(self.matter)
        sliced = slice_function(node, Known(context.module), ignored) if ignored else None
        dropped = sliced.backward if sliced is not None else frozenset()
        super().__init__(context, live_after(node, dropped, ignored), dropped)
        self.method = context.module.methods.get(node.name)
        if self.method is not None:
            reads = self.method.helper_reads
            self.live_after = {statement: names | reads for statement, names in self.live_after.items()}
            self.layers = frozenset(n for n, role in self.method.attributes.items() if role is Role.LAYERS)
            self.layer_classes = self.method.layers
        self.asides: set[Stage] = set()
        self.returns: dict[Stage, tuple[Result, ...]] = {}
        self.width = 1
        self.widths: set[int] = set()

    def run(self) -> Lowered:
        params = self._parameters()
        decorator = altering_decorator(self.node)
        if decorator is not None:
            self.error(
                "FG030",
                f"what the decorator makes of {self.node.name} is not known",
                decorator,
                "",
                "take it away, or decorate another function that calls this one",
            )
        statements = self.node.body[1:] if _is_docstring(self.node.body[0]) else self.node.body
        found = self.block(statements)
        if found is None and not self.errors:
            self.error(
                "FG061",
                f"{self.node.name} returns nothing",
                self.node,
                "",
                "a function to be differentiated returns its result",
            )
        if self.errors:
            raise Refused(tuple(dict.fromkeys(self.errors)))
        assert found is not None
        results = self._results(found)
        block = Block(params, (*self.heads, *self.body), tuple(result.value for result in results))
        problems = layer_problems(block, self.buffers.overwritten)
        if self.method is not None and not problems:
            module, callee = self.context.module, self.context.callee
            problems = method_problems(block, self.buffers.overwritten, self.method, module, callee)
        if problems:
            raise Refused(tuple(dict.fromkeys(problems)))
        return Lowered(
            function=Function(self.node.name, block),
            node=self.node,
            stages=tuple(self.stages),
            names=self.names,
            results=results,
            returns=self.returns,
            roots=self.buffers.roots,
            overwritten=self.buffers.overwritten,
            rewritten=self.rewritten,
            questions=self.questions,
            notes=tuple(self.expressions.notes),
            elements=self.elements,
            asides=frozenset(self.asides),
            dropped=self.dropped,
            changed_dicts=frozenset(self.changed_dicts),
            written=frozenset(self.expressions.written),
            places=self.places,
            stored=self.stored,
            hidden=tuple(dict.fromkeys(self.expressions.uses.hidden)),
            width=self.width,
            widths=frozenset(self.widths),
            effects=self.says or any(has_effect(step) for step in every_step(block)),
        )

    def _results(self, found: tuple[Value, ...]) -> tuple[Result, ...]:
        """The results of the function, whichever `return` they come from."""
        *_, last = self.returns.values()
        if len(self.returns) == 1:
            return last
        return tuple(replace(result, value=value) for result, value in zip(last, found, strict=True))

    def statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=targets) if not self._is_one_binding(targets):
                self.error(
                    "FG033",
                    "several targets, one of them an element or a tuple, are not understood",
                    statement,
                    "what is written first may be seen on the right",
                    "write one assignment a line",
                )
                self.poison(statement)
            case ast.If(test=test) | ast.Assert(test=test):
                # A check of the user's own stays where it is, and changes no value.
                self._read_names(test)
                for left, right in proven(test, isinstance(statement, ast.Assert)):
                    for step in enforced(left, right, self.expressions):
                        self.emit(step, view=False)
            case ast.Assign(targets=[ast.Name() as same], value=ast.Call() as call) if writes_out(call):
                self.write_out(call, same)
            case ast.Assign(targets=targets, value=value):
                bound = self.expressions.lower(value)
                for target in targets:
                    self.bind(target, bound, value)
                    if isinstance(target, ast.Name):
                        bound = self.environment[target.id]
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self.bind(target, self.expressions.lower(value), value)
            case ast.AugAssign():
                self.augment(statement)
            case ast.FunctionDef(name=name):
                self.environment[name] = self.expressions.define(statement)
            case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Raise():
                pass
            case ast.Expr(value=ast.Call() as call) if self.append(statement) or self.settled(call):
                pass
            case ast.Expr(value=ast.Call() as call):
                self.call_statement(call)
            case ast.Delete(targets=targets):
                self.delete(statement, targets)
            case _:
                self._unsupported(statement)

    def returned(self, statement: ast.Return) -> tuple[Value, ...]:
        stage = self.stage
        assert stage is not None
        if self.loops:
            self.error(
                "FG030", "a return inside a loop is not understood", statement, "", "use `break`, and return later"
            )
            return ()
        results = self._return(statement, statement.value)
        if results is None:
            self.error("FG061", "this returns nothing", statement, "", "return the loss or the output")
            return ()
        for other in self.returns.values():
            if len(other) != len(results) and not self.errors:
                self.error(
                    "FG061",
                    f"{len(results)} results here, {len(other)} elsewhere",
                    statement,
                    "",
                    _SAME_RESULTS,
                )
            if len(other) != len(results):
                raise Refused(tuple(dict.fromkeys(self.errors)))  # the ways cannot be joined
        self.returns[stage] = results
        return tuple(result.value for result in results)

    def _is_one_binding(self, targets: list[ast.expr]) -> bool:
        """Whether what is assigned goes to one place, or to plain names only."""
        if len(targets) > 1:
            return all(isinstance(target, ast.Name) for target in targets)
        parts = targets[0].elts if isinstance(targets[0], ast.Tuple | ast.List) else []
        return not any(isinstance(part, ast.Subscript) for part in parts)

    def _read_names(self, node: ast.expr) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(bound := self.environment.get(part.id), Value):
                self.names[span_of(self.module, part)] = bound

    def _parameters(self) -> tuple[Value, ...]:
        arguments = self.node.args
        # What is taken and never read, as `**kwargs` in the methods of a family of layers, carries no gradient.
        mentioned = {
            part.id for statement in self.node.body for part in ast.walk(statement) if isinstance(part, ast.Name)
        }
        for extra in (arguments.vararg, arguments.kwarg):
            if extra is not None and extra.arg in mentioned:
                self.error(
                    "FG032",
                    f"{'*' if extra is arguments.vararg else '**'}{extra.arg} is not understood",
                    extra,
                    "",
                    "name the parameters one by one",
                )
                self.environment[extra.arg] = Poison.at()
        params = []
        lists = list_parameters(self.node, self.module.functions, self.context.described)
        lists = {name: depth for name, depth in lists.items() if name not in self.layers}
        for argument in changed_lists(self.node, lists):
            if argument.arg not in self.context.described:
                self.error(
                    "FG030",
                    f"what is done with the list {argument.arg} is not understood",
                    argument,
                    "it is read neither one element at a time nor as one array",
                    f"pass an array, or read the elements of {argument.arg} where they are needed",
                )
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            value = Value(argument.arg, Type.open(argument.arg))
            params.append(value)
            self.environment[argument.arg] = value
            self.buffers.own(value)
            self.expressions.given.add(value)
            if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "object":
                self.expressions.objects.add(value)
            if argument.arg in lists:
                self.expressions.lists[value] = lists[argument.arg]
        if self.method is not None:
            self.errors.extend(self.method.problems)
            for name, helper in self.method.helpers.items():
                step = self.method.steps.get(name)
                self.environment[name] = self.expressions.define(helper) if step is None else Static(step)
        return tuple(params)

    # Results

    def _return(self, statement: ast.Return, node: ast.expr | None) -> tuple[Result, ...] | None:
        if node is None:
            return None
        handed = self.expressions.lower(node) if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and isinstance(handed, Structure) and not handed.is_list:
            return self._handed_on(handed, node)
        elements = node.elts if isinstance(node, ast.Tuple) else [node]
        several = isinstance(node, ast.Tuple)
        if self.width not in (1, len(elements)) and any(self._hands_on(other) for other in self.returns):
            self.error("FG061", f"{len(elements)} things here, {self.width} elsewhere", statement, "", _SAME_RESULTS)
        self.widths.add(len(elements))
        self.width = len(elements)
        # `return (0, 0), (top, bottom)`: nothing but tuples of sizes, which only a helper gives.
        sized = several and all(isinstance(element, ast.Tuple) for element in elements)
        results: list[Result] = []
        for position, element in enumerate(elements):
            if several and not sized and (element in self.matter or self._is_own_backward_matter(element, position)):
                self.expressions.note(
                    "FG065",
                    f"{ast.unparse(element)} is not differentiated",
                    element,
                    "returned on some ways only"
                    if self.matter.get(element) == SOME_WAYS
                    else "taken for the function's own cache or gradients",
                )
                continue
            bound = handed or self.expressions.lower(element)
            if sized and isinstance(bound, Structure):
                bound = self._sizes(bound) or bound
            if self.gives_gradients and isinstance(bound, Structure | Dictionary | Filled):
                self.error("FG061", "its gradients are several, and not results of their own", element, "", _TWICE)
                continue
            if isinstance(bound, Structure) and not bound.is_list:
                self.error(
                    "FG061", "several results under one name", element, "", "name them: `a, b = ...; return a, b`"
                )
                continue
            if isinstance(bound, Structure):
                bound = self.expressions.as_operand(bound, element)
            if isinstance(bound, Static):
                bound = self.expressions.static(bound) or bound  # `return np.inf`
            if isinstance(bound, Literal):
                bound = self.constant(bound, "", span_of(self.module, element))
            if isinstance(bound, Poison):
                continue
            if not isinstance(bound, Value):
                self.error("FG061", "this result is not a number or an array", element, "", "return arrays or numbers")
                continue
            results.append(Result(bound, bound.name, span_of(self.module, element), position))
        if not results and not self.errors:
            self.error(
                "FG061",
                f"{self.node.name} returns nothing to differentiate",
                statement,
                "",
                "return the loss or the output",
            )
        return tuple(results)

    def _sizes(self, tuple_: Structure) -> Value | None:
        """A tuple of integers as one value: that they are integers shows when the function is typed."""
        operands: list[Value] = []
        texts: list[str] = []
        for item in tuple_.items:
            if isinstance(item, Poison) or not isinstance(item, Value | Literal):
                return None
            if isinstance(item, Literal) and not isinstance(item.value, int):
                return None
            if isinstance(item, Value) and item not in operands:
                operands.append(item)
            texts.append(f"_{operands.index(item)}" if isinstance(item, Value) else item.text)
        out = Value("", Type.open("sizes"))
        attrs: dict[str, Attribute] = {"text": f"({', '.join(texts)},)", "holds": "shape", "sizes": True}
        self.emit(Relation((out,), "opaque", tuple(operands), attrs, None, tuple_.span), view=False)
        return out

    def aside(self, statement: ast.If) -> bool:
        """Whether an `if` only returns something else early: `if y is None: return scores`, where the loss is meant.

        It stays where it is, and has no gradient.
        """
        match statement:
            case ast.If(body=[*_, ast.Return(value=ast.expr() as early)], orelse=[]):
                returns = [part for part in own_statements(self.node.body) if isinstance(part, ast.Return)]
                last = returns[-1].value if returns else None
                if last is None or last is early:
                    return False
                # Who calls it goes on with what it returns early.
                asks = _asks_for_none(statement.test) and not _is_called(self.module, self.node)
                elements = last.elts if isinstance(last, ast.Tuple) else [last]
                own = any(element in self.matter for element in elements)
                if not (own or asks) or ast.unparse(_first(early)) == ast.unparse(elements[0]):
                    return False
                for part in ast.walk(statement):
                    if isinstance(part, ast.expr):
                        self._read_names(part)
                assert self.stage is not None
                self.asides.add(self.stage)
                self.expressions.note(
                    "FG065",
                    f"{ast.unparse(early)} is not differentiated",
                    early,
                    "returned early, in place of what is differentiated: backward has no cache for it",
                )
                return True
        return False

    def _hands_on(self, stage: Stage) -> bool:
        """Whether a `return` hands on what a call gives at once."""
        return any(
            isinstance(part, ast.Return)
            and isinstance(part.value, ast.Call)
            and span_of(self.module, part) == stage.span
            for part in ast.walk(self.node)
        )

    def _handed_on(self, handed: Structure, node: ast.Call) -> tuple[Result, ...] | None:
        """`return affine(x, w)`: the results of another function, its cache left out."""
        if self.returns and self.width != len(handed.items):
            self.error("FG061", f"{len(handed.items)} things here, {self.width} elsewhere", node, "", _SAME_RESULTS)
        self.width = len(handed.items)
        span = span_of(self.module, node)
        kept = [(k, item) for k, item in enumerate(handed.items) if isinstance(item, Value)]
        others = [item for item in handed.items if not isinstance(item, Value | Static)]
        if others or not kept:
            self.error("FG061", "several results under one name", node, "", "name them: `a, b = ...; return a, b`")
            return ()
        return tuple(Result(item, "", span, k) for k, item in kept if not isinstance(item, Poison))

    def _is_own_backward_matter(self, element: ast.expr, position: int) -> bool:
        if isinstance(element, ast.Tuple | ast.Dict | ast.List):
            return True
        if not isinstance(element, ast.Name) or self.gives_gradients:
            return False
        if isinstance(self.environment.get(element.id), Structure | Dictionary | Static | Filled):
            return True
        if position:
            return False  # told by its name, among the results behind the first
        params = {argument.arg for argument in self.node.args.args}
        return element.id in ("cache", "grads") or any(element.id in (f"d{p}", f"d_{p}", f"grad_{p}") for p in params)

    def _unsupported(self, statement: ast.stmt) -> None:
        what = _STATEMENTS.get(type(statement), f"a {type(statement).__name__} statement")
        self.error(
            "FG030",
            f"{what} is not understood yet",
            statement,
            "",
            "write the function without it: staged assignments and one return",
        )
        self.poison(statement)


_SAME_RESULTS = "return the same results on every way"
_TWICE = (
    "for second derivatives, write a function that returns each under another name than d<parameter>: "
    "`loss, cache = f_forward(w, b); slope_w, slope_b = f_backward(1.0, cache); return loss, slope_w, slope_b`"
)
_STATEMENTS: dict[type[ast.stmt], str] = {
    ast.For: "a for loop",
    ast.While: "a while loop",
    ast.If: "an if statement",
    ast.With: "a with statement",
    ast.Try: "a try statement",
    ast.Raise: "a raise statement",
    ast.Assert: "an assert statement",
    ast.Delete: "a del statement",
    ast.FunctionDef: "a nested function",
    ast.ClassDef: "a nested class",
    ast.Import: "an import inside a function",
    ast.ImportFrom: "an import inside a function",
    ast.Global: "a global statement",
    ast.Nonlocal: "a nonlocal statement",
}


def _is_called(module: Module, node: ast.FunctionDef) -> bool:
    """Whether a function of the file calls this one in an expression."""
    others = (one for one in ast.walk(module.tree) if isinstance(one, ast.FunctionDef) and one.name != node.name)
    parts = (part for one in others for part in ast.walk(one) if isinstance(part, ast.Call))
    return any(isinstance(part.func, ast.Name) and part.func.id == node.name for part in parts)


def _asks_for_none(test: ast.expr) -> bool:
    """`y is None`: whether something was given at all."""
    match test:
        case ast.Compare(ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            return True
    return False


def _first(node: ast.expr) -> ast.expr:
    return node.elts[0] if isinstance(node, ast.Tuple) and node.elts else node


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
