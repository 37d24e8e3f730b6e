"""Statements that are calls: those that write into an array, and those that are kept as they are.

What prints, logs or seeds stays where it stands, word for word, and no gradient passes it. Every other call as a
statement is there for what it changes: what flatgrad knows of is a new version of an array, anything else is refused.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flatgrad.diagnostics import Refused
from flatgrad.frontend.bindings import LOGGER
from flatgrad.frontend.environment import Binding, Poison
from flatgrad.frontend.regions import RegionLowering
from flatgrad.frontend.source import dotted_path, span_of
from flatgrad.gates.entry import BY_PATH
from flatgrad.ir.core import Attribute, Relation, Value

# Functions that change no value of the program.
KEPT = frozenset(
    {"builtins.print", "pprint.pprint", "pprint.pp", "time.sleep", "gc.collect", "random.seed"}
    | {"numpy.random.seed", "numpy.random.set_state", "numpy.seterr", "numpy.set_printoptions"}
    | {"sys.stdout.write", "sys.stdout.flush", "sys.stderr.write", "sys.stderr.flush"}
)
# The beginnings of the names of others.
KEPT_KINDS = ("logging.", "warnings.", "numpy.testing.assert_", "matplotlib.pyplot.")
# Methods of loggers, which no array has.
LOGGERS = frozenset({"debug", "info", "warning", "warn", "error", "critical", "exception", "log"})
# Functions of Python's own that draw.
DRAWS = frozenset(f"random.{name}" for name in ("random", "uniform", "randint", "randrange", "gauss", "choice"))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions and methods that may stand inside such a call or inside a test, besides the gates: they change nothing.
PURE = (
    frozenset(
        f"builtins.{name}"
        for name in _words(
            """abs all any bool callable dict enumerate float format getattr hasattr id int isinstance issubclass len
            list max min range repr reversed round set sorted str sum tuple type zip"""
        )
    )
    | frozenset(
        f"numpy.{name}"
        for name in _words(
            """array2string array_str array_repr count_nonzero iscomplexobj isscalar issubdtype ndim random.get_state
            shape size unique"""
        )
    )
    | _words("time.time time.perf_counter time.process_time datetime.datetime.now os.getenv os.environ.get")
    | DRAWS
)
PURE_METHODS = _words(
    """any all center count endswith find format get index isdigit item items join keys ljust lower replace rjust split
    startswith strip title tolist upper values zfill"""
)
# What changes the array that it is given or called on, and how it is written otherwise.
INSTEAD: Mapping[str, str] = {
    "numpy.random.shuffle": "{0} = np.random.permutation({0})",
    ".shuffle": "{0} = {1}.permutation({0})",
    ".sort": "{1} = np.sort({1})",
    ".partition": "{1} = np.partition({1}, ...)",
    ".resize": "{1} = {1}.reshape(...)",
    "numpy.put": "{0}[...] = ...",
    "numpy.place": "{0}[mask] = ...",
    "numpy.putmask": "{0}[mask] = ...",
}


class EffectLowering(RegionLowering):
    """Lowers calls as statements, `del`, and calls with `out=`."""

    # Whether something is printed, logged or seeded.
    says = False

    def call_statement(self, call: ast.Call) -> None:
        path = self._called(call)
        match path, call:
            case (("numpy.add.at" | "numpy.subtract.at"), ast.Call(args=[array, index, value], keywords=[])):
                self._into(call, array, index, value, path.split(".")[1])
            case "numpy.fill_diagonal", ast.Call(args=[array, value], keywords=[]):
                self._into(call, array, None, value, "diagonal")
            case "numpy.copyto", ast.Call(args=[array, value], keywords=[]):
                self._into(call, array, None, value, "")
            case ".fill", ast.Call(func=ast.Attribute(value=array), args=[value], keywords=[]):
                self._into(call, array, None, value, "")
            case _ if writes_out(call):
                self.write_out(call, None)
            case _ if self._is_kept(call, path) or self._only_checks(call):
                if self._arguments_change_nothing(call):
                    self.says = True
                    self._reads(call)
            case _:
                self._refused(call, path)

    def _called(self, call: ast.Call) -> str:
        """The dotted path of what is called; `.name` where it is a method of something else, '' for anything else."""
        path = dotted_path(self.module, call.func, frozenset(self.environment))
        if path is not None:
            return path
        return f".{call.func.attr}" if isinstance(call.func, ast.Attribute) else ""

    # Kept as they are

    def _is_kept(self, call: ast.Call, path: str) -> bool:
        if path in KEPT or path.startswith(KEPT_KINDS):
            return True
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr=method) if method in LOGGERS:
                return isinstance(self.environment.get(name), Value) or self._is_logger(name)
        return False

    def _only_checks(self, call: ast.Call) -> bool:
        """Whether a function of the file does nothing but to look at what it is given: `check_shapes(x, w)`."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        node = None if name in self.environment else self.module.functions.get(name)
        return node is not None and all(self._is_look(one) for one in node.body)

    def _is_look(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Return(value=None | ast.Constant(value=None)):
                return True
            case ast.Assert(test=part) | ast.Raise(exc=ast.expr() as part):
                return _changes_nothing(part)
            case ast.If(test=test, body=body, orelse=orelse):
                return _changes_nothing(test) and all(self._is_look(one) for one in (*body, *orelse))
            case ast.Expr(value=ast.Call(func=ast.Name(id="print")) as call):
                return _changes_nothing(call)
        return False

    def _is_logger(self, name: str) -> bool:
        """Whether a name of the module is what `logging.getLogger(...)` gives."""
        made = self.module.constants.get(name)
        if name in self.environment or not isinstance(made, ast.Call):
            return False
        return dotted_path(self.module, made.func, frozenset()) == LOGGER

    def _arguments_change_nothing(self, call: ast.Call) -> bool:
        return all(self.changes_nothing(one) for one in (*call.args, *(keyword.value for keyword in call.keywords)))

    def has_effects(self, node: ast.expr) -> bool:
        return any(isinstance(part, ast.Call) and self._has_effect(part) for part in ast.walk(node))

    def _has_effect(self, call: ast.Call) -> bool:
        path = self._called(call)
        if path in DRAWS or any(gate.effect for gate, _ in BY_PATH.get(path, [])) or self._is_kept(call, path):
            return True
        if isinstance(call.func, ast.Name) and call.func.id in self.module.functions and not path:
            return self.context.callee(call.func.id).effects
        return False

    def changes_nothing(self, node: ast.expr) -> bool:
        for part in ast.walk(node):
            match part:
                case ast.Call() if not self._is_pure(part):
                    self.error(
                        "FG030",
                        f"what {ast.unparse(part.func)} does here is not known to flatgrad",
                        part,
                        "it may change what it is given",
                        "call it in a statement of its own, before",
                    )
                    return False
                case ast.NamedExpr() | ast.Await() | ast.Yield() | ast.YieldFrom():
                    self.error("FG030", "this inside a call is not understood", part, "", "bind it before")
                    return False
                case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) if name in self.environment:
                    self.error("FG030", f"{name} is bound again inside a call", part, "", "take another name here")
                    return False
        return True

    def _is_pure(self, call: ast.Call) -> bool:
        if any(keyword.arg == "out" for keyword in call.keywords):
            return False
        path = self._called(call)
        count = len(call.args) + len(call.keywords)
        for gate, spelling in BY_PATH.get(path, []):
            # An argument too many may be an array to write into.
            if count <= len(spelling.names) - path.startswith(".") or spelling.starred or not gate.operands:
                return True
        if path in PURE or path.lstrip(".") in PURE_METHODS:
            return True
        if isinstance(call.func, ast.Name) and call.func.id in self.module.functions and not path:
            try:
                callee = self.context.callee(call.func.id)
            except Refused:
                return False
            return not any(param in callee.overwritten for param in callee.function.block.params)
        return False

    def _reads(self, node: ast.AST) -> None:
        """The names in a text that is kept stand for what they stand for here."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(bound := self.environment.get(part.id), Value):
                if not isinstance(bound, Poison):
                    self.names[span_of(self.module, part)] = bound

    # Writes

    def _into(self, call: ast.Call, array: ast.expr, index: ast.expr | None, value: ast.expr, mode: str) -> None:
        """What a call writes into an array that has a name: at an index, on the diagonal, or everywhere."""
        template: tuple[Attribute, ...] | None = () if mode == "diagonal" else (Ellipsis,)
        if not isinstance(array, ast.Name):
            self.error("FG033", "what is written to here has no name", array, "", "write into an array that has a name")
            return
        if index is not None:
            # np.s_[:, i] is the index itself
            inner = index.slice if isinstance(index, ast.Subscript) and self._is_index_maker(index.value) else index
            template = self.expressions.index(inner)
        bound = self.expressions.lower(value)
        if template is not None:
            self._write(call, array, array.id, template, bound, span_of(self.module, call), mode)

    def _is_index_maker(self, node: ast.expr) -> bool:
        return dotted_path(self.module, node, frozenset(self.environment)) in ("numpy.s_", "numpy.index_exp")

    def write_out(self, call: ast.Call, target: ast.Name | None) -> None:
        """`np.exp(x, out=y)`, and `z = np.exp(x, out=y)`, where z is y."""
        array = next(keyword.value for keyword in call.keywords if keyword.arg == "out")
        plain = copy.copy(call)
        plain.keywords = [keyword for keyword in call.keywords if keyword.arg != "out"]
        if not isinstance(array, ast.Name):
            self.error("FG033", "what `out=` stands for here has no name", array, "", "give it the name of an array")
            return
        bound: Binding = self.expressions.lower(plain)
        if (
            isinstance(bound, Value)
            and self.body
            and isinstance(step := self.body[-1], Relation)
            and bound in step.outs
        ):
            # The text of the call is that of the write.
            self.body[-1] = replace(step, span=None)
        self._write(call, array, array.id, (Ellipsis,), bound, span_of(self.module, call))
        if target is None:
            return
        written = self.environment.get(array.id)
        if target.id != array.id and isinstance(written, Value):
            self.bind(target, written, array)
        elif isinstance(written, Value):
            self.names[span_of(self.module, target)] = written

    # Refusals

    def _refused(self, call: ast.Call, path: str) -> None:
        receiver = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        first = ast.unparse(call.args[0]) if call.args else receiver
        instead = INSTEAD.get(path)
        self.error(
            "FG030",
            "a call as a statement is not understood",
            call,
            f"what {ast.unparse(call.func)} changes is not known to flatgrad"
            if instead is None
            else "it changes an array in place",
            "assign its result to a name, or leave the call out of the function"
            if instead is None
            else f"write `{instead.format(first, receiver)}`",
        )

    # Names that end

    def delete(self, statement: ast.stmt, targets: Sequence[ast.expr]) -> None:
        """`del name`: the name stands for nothing from here on."""
        for target in targets:
            match target:
                case ast.Name(id=name) if name not in self.environment:
                    self.error("FG020", f"the name {name} is not known here", target, "", "")
                case ast.Name(id=name) if any(name in carried for carried, *_ in self.loops):
                    self.error(
                        "FG030",
                        f"{name} is deleted in a round and needed in the next, or after the loop",
                        target,
                        "",
                        "leave the name as it is",
                    )
                case ast.Name(id=name):
                    bound = self.environment.pop(name)
                    if isinstance(bound, Value) and not isinstance(bound, Poison):
                        self.names[span_of(self.module, target)] = bound
                case ast.Subscript(value=ast.Name(id=name)) if self.without(target, name):
                    pass
                case _:
                    self.error("FG030", "only names are understood here", statement, "", "leave this statement out")


def _changes_nothing(node: ast.expr) -> bool:
    """Whether an expression has no calls but of what looks at things, or makes an exception."""
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Name(id=name)) if f"builtins.{name}" in PURE or name.endswith("Error"):
                pass
            case ast.Call(func=ast.Name(id="print")) | ast.Call(func=ast.Attribute(attr="all" | "any" | "format")):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy"))) if not part.keywords:
                pass
            case ast.Call() | ast.NamedExpr() | ast.Await() | ast.Yield() | ast.YieldFrom():
                return False
    return True


def writes_out(call: ast.Call) -> bool:
    """Whether a call writes its result into an array that is there."""
    return any(
        keyword.arg == "out" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None)
        for keyword in call.keywords
    )
