"""From a function object to source text that the compiler can read, and the live objects that the text cannot hold.

The whole file of the function is handed on, line for line in its place, so that diagnostics and comments tell the true
lines. What the file says and what is true at run time can differ: a constant that somebody has set, a variable of an
enclosing function, a helper that a decorator has replaced. The running program is what counts: constants are written
into the text with their present value, arrays are kept beside it, and what cannot be brought together is refused.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.bindings import imported_names
from flatgrad.function_file import FunctionFile, contains
from flatgrad.ir.core import Span
from flatgrad.live import claim, is_constant, is_numeric, library_of, literal, same

MISSING = object()
# Calls in a module constant that are run again to see whether the text still tells the truth: cheap, and pure.
PURE_CALLS = ("array", "asarray", "arange", "linspace", "zeros", "ones", "eye", "full", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Captured:
    """A function as text.

    Attributes:
        source: the text for the compiler, with the function at top level.
        live: objects that replace what the text binds to these names, `...` where the text has no expression for them.
        used: every object from outside that was looked at, to see later whether it is still the same.
    """

    source: str
    filename: str
    name: str
    live: Mapping[str, object]
    used: tuple[tuple[FunctionType, str, object], ...]

    def is_current(self) -> bool:
        """Whether all names still stand for the same objects."""
        return all(lookup(function, name) is value for function, name, value in self.used)


def capture(function: object) -> Captured:
    """Read the source of a function.

    Raises Refused for what is no plain function (a lambda, an instance, a builtin), for a function whose source cannot
    be found or is not what runs, and for a helper that its module has replaced by something else.
    """
    return _Capture(plain_function(function)).run()


def plain_function(candidate: object) -> FunctionType:
    """The candidate itself, if it is a function that a `def` made. Raises Refused (FG092) if not."""
    name = getattr(candidate, "__qualname__", None) or type(candidate).__name__
    match candidate:
        case FunctionType() if hasattr(candidate, "__wrapped__"):
            found = f"{name} is wrapped by a decorator, and what runs is not what its source shows"
            help = "give the function as it is before it is decorated, or put flatgrad's decorator next to its def"
        case FunctionType(__name__="<lambda>"):
            found = "a lambda has no statements and no name"
            help = "write it as a def"
        case FunctionType():
            code = candidate.__code__
            if not code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
                return candidate
            found = f"{name} is a generator or a coroutine"
            help = "give a function that returns its result"
        case MethodType():
            found = f"{name} is a method, bound to an instance"
            help = "write it as a function whose parameters are the arrays that it uses"
        case type():
            found = f"{name} is a class"
            help = "give one of its functions, written as a def of its own"
        case BuiltinFunctionType():
            found = f"{name} is not written in Python"
            help = "give a def that calls it"
        case _:
            found = f"an instance of {type(candidate).__name__} is not a function"
            help = "give a def; of an instance, the compiler could not see the attributes"
    raise Refused([Diagnostic("FG092", found, None, help=help)], "", name)


def lookup(function: FunctionType, name: str) -> object:
    """What a free name of a function stands for now, `MISSING` if nothing."""
    if name in function.__code__.co_freevars:
        cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
        try:
            contents: object = cell.cell_contents
        except ValueError:  # bound later in the enclosing function
            return MISSING
        return contents
    return function.__globals__.get(name, MISSING)


class _Capture:
    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.file = FunctionFile.of(function)
        self.live: dict[str, object] = {}
        self.used: list[tuple[FunctionType, str, object]] = []
        self.objects: dict[str, object] = {function.__code__.co_name: function}
        self.kept: dict[str, ast.FunctionDef] = {}
        self.replaced: dict[ast.stmt, str] = {}
        self.appended: list[str] = []

    def run(self) -> Captured:
        self.waiting: list[FunctionType] = [self.function]
        self.kept[self.function.__code__.co_name] = self.file.definition(self.function)
        while self.waiting:
            function = self.waiting.pop()
            # A helper from another notebook cell has been appended as it is, and is read in its own file.
            file = self.file if function.__code__.co_filename == self.file.name else FunctionFile.of(function)
            self._names_of(function, file.definition(function))
        self._settle_definitions()
        source = self.file.rewritten(self.replaced, self.appended)
        name = self.function.__code__.co_name
        return Captured(source, self.file.name, name, self.live, tuple(self.used))

    def _names_of(self, function: FunctionType, node: ast.AST) -> None:
        own = {*function.__code__.co_varnames, *function.__code__.co_cellvars}
        parts: list[ast.AST] = [node]
        if isinstance(node, ast.FunctionDef):
            # Default values were computed outside, where a name may mean something else than inside.
            self._default_names(function, node.args)
            parts = [*node.body]
        for part in parts:
            for name in ast.walk(part):
                if isinstance(name, ast.Name) and name.id not in own:
                    self._name(function, name.id, lookup(function, name.id))

    def _default_names(self, function: FunctionType, arguments: ast.arguments) -> None:
        positional = list(zip(arguments.defaults, function.__defaults__ or (), strict=True))
        keyword = function.__kwdefaults__ or {}
        named = [(d, keyword[a.arg]) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d]
        for expression, value in positional + named:
            for part in ast.walk(expression):
                if isinstance(part, ast.Name):
                    found = lookup(function, part.id)
                    if found is not MISSING:
                        self._name(function, part.id, found)
                    elif part is expression and part.id not in self.objects:  # `def loss(w, X=X)` inside a function
                        self.objects[part.id] = value
                        self._object(function, part.id, value)

    def _name(self, function: FunctionType, name: str, value: object) -> None:
        if value is MISSING:
            return
        if name in self.objects:
            if self.objects[name] is not value:
                message = f"{name} stands for two different things in the functions that are compiled together"
                found = Diagnostic("FG093", message, None, help="give one of them another name")
                raise Refused([found], self.file.source, self.file.name)
            return
        self.objects[name] = value
        self.used.append((function, name, value))
        self._object(function, name, value)

    def _object(self, function: FunctionType, name: str, value: object) -> None:
        """Bring the text into line with what a name stands for."""
        local = name in function.__code__.co_freevars
        statements = self.file.bindings(name)
        paths = () if local else _imported_paths(statements, name)
        match value:
            case ModuleType():
                if value.__name__ not in paths:
                    self._bind(name, statements, _import_text(f"import {value.__name__}", value.__name__, name))
            case _ if (home := library_of(value)) is not None:
                if ".".join(home) not in paths:
                    self._bind(name, statements, _import_text(f"from {home[0]} import {home[1]}", home[1], name))
            case FunctionType():
                self._helper(name, value, local)
            case _ if is_constant(value):
                if not local and self._reads_as(function, statements, value):
                    self._names_of(function, _value(statements[0]))
                else:
                    self._bind(name, statements, f"{name} = {literal(value)}")
            case _ if is_numeric(value):
                self.live[name] = value
                if local or not self._reads_as(function, statements, value):
                    self._bind(name, statements, f"{name}{claim(value)} = ...")
            case _ if statements and (local or any(isinstance(s, ast.FunctionDef) for s in statements)):
                raise self._replaced(name, statements)

    def _helper(self, name: str, value: FunctionType, local: bool) -> None:
        code = value.__code__
        statements = self.file.bindings(name)
        plain = code.co_name == name and not hasattr(value, "__wrapped__")
        if plain and code.co_filename == self.file.name:
            self.kept[name] = self.file.definition(value)
            self.waiting.append(value)
        elif any(local or not isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements):
            raise self._replaced(name, statements)
        elif plain and value.__globals__ is self.function.__globals__:
            # The same namespace, another text: an earlier cell of a notebook.
            self.appended.append(FunctionFile.of(value).text_of(value))
            self.waiting.append(value)

    def _replaced(self, name: str, statements: Sequence[ast.stmt]) -> Refused:
        span = self.file.span(statements[-1])
        found = Diagnostic(
            "FG093",
            f"{name} is not what its source shows",
            Span(span.line, span.column, span.line, len(self.file.lines[span.line - 1])),
            "when the program runs, the name stands for something else",
            "use the function as it is before it is decorated, or another name",
        )
        return Refused([found], self.file.source, self.file.name)

    def _reads_as(self, function: FunctionType, statements: list[ast.stmt], value: object) -> bool:
        """Whether the only statement that binds a name gives the value that the name has now."""
        if len(statements) != 1 or not isinstance(statements[0], ast.Assign | ast.AnnAssign):
            return False
        expression = _value(statements[0])
        if _single_target(statements[0]) is None or not _is_pure(expression, function):
            return False
        try:
            read = eval(compile(ast.Expression(expression), self.file.name, "eval"), function.__globals__)
        except Exception:  # whatever the expression does: then the text does not tell the value
            return False
        return same(read, value)

    def _bind(self, name: str, statements: list[ast.stmt], text: str) -> None:
        """Write a binding into the text, in the place of the last one there if there is any."""
        removed = [s for s in statements if not isinstance(s, ast.Import | ast.ImportFrom)]
        for statement in removed:
            self.replaced.setdefault(statement, "")
        last = removed[-1] if removed else None
        if isinstance(last, ast.Assign | ast.AnnAssign | ast.AugAssign) and not self.replaced[last]:
            self.replaced[last] = text
        else:
            self.appended.append(text)

    def _settle_definitions(self) -> None:
        """Every kept function at top level, undecorated, and the only one of its name."""
        for statement in self.file.tree.body:
            inside = [node for node in self.kept.values() if contains(statement, node)]
            if inside:
                self.replaced[statement] = self.file.hoisted(statement, inside)
            elif isinstance(statement, ast.FunctionDef) and statement.name in self.kept:
                self.replaced[statement] = ""


def _value(statement: ast.stmt) -> ast.expr:
    assert isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)
    return statement.value or ast.Constant(None)


def _single_target(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return name
    return None


def _imported_paths(statements: Sequence[ast.stmt], name: str) -> tuple[str, ...]:
    """What the imports among some statements bind a name to."""
    imports = [s for s in statements if isinstance(s, ast.Import | ast.ImportFrom)]
    return tuple(path for statement in imports for bound, path in imported_names(statement) if bound == name)


def _import_text(statement: str, imported: str, name: str) -> str:
    return statement if imported == name else f"{statement} as {name}"


def _is_pure(node: ast.expr, function: FunctionType) -> bool:
    """Whether an expression can be run again: constants, arithmetic, attributes of modules, a few NumPy calls."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            value = lookup(function, name)
            return is_constant(value) or is_numeric(value) or isinstance(value, ModuleType)
        case ast.Attribute(value=ast.Name(id=name)):
            return isinstance(lookup(function, name), ModuleType)
        case ast.UnaryOp(operand=operand):
            return _is_pure(operand, function)
        case ast.BinOp(left=left, right=right):
            return _is_pure(left, function) and _is_pure(right, function)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return all(_is_pure(part, function) for part in parts)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name), args=args, keywords=keywords):
            called = lookup(function, module)
            return (
                isinstance(called, ModuleType)
                and called.__name__ == "numpy"
                and name in PURE_CALLS
                and all(_is_pure(part, function) for part in [*args, *(k.value for k in keywords)])
            )
    return False
