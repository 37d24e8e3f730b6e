"""A source file as text, syntax tree, comments and module-level names. Nothing of it is imported or run.

Places are in characters, lines from 1 and columns from 0, in `Module.text`: the source without a byte-order mark and
with every line end written as "\\n".
"""

from __future__ import annotations

import ast
import builtins
import difflib
import io
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.bindings import BUILTIN, ImportStatement, Names, module_names
from flatgrad.frontend.borrowed import Borrowed
from flatgrad.frontend.local_imports import with_imports_at_the_head
from flatgrad.frontend.methods import FORWARD, Method
from flatgrad.frontend.syntax_errors import invalid_python, span_within, syntax_diagnostic
from flatgrad.gates.entry import BY_PATH, OWN
from flatgrad.ir.core import Span

# A function of this name gives `flatgrad check` its arguments, and is none that anybody differentiates.
EXAMPLE_INPUTS = "example_inputs"


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment as written, `#` included, and where it begins."""

    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Module:
    """One source file.

    Attributes:
        text: the source as read; `lines` are its lines, without their ends.
        comments: by line; a line holds one at most.
        imports: local name -> dotted path, for names that an import binds whenever the module runs to its end
            (`np` -> `numpy`, `exp` -> `numpy.exp`, `scipy` -> `scipy` for `import scipy.special`).
        constants: names that are bound exactly once, to an expression of literals, earlier constants and functions
            of NumPy, SciPy and `math`; a list or an array only where no line of the file visibly changes it.
        functions: the functions at the top level, in order; of two with one name the later.
        bound: every name that the module binds in any way, the above included.
        import_texts: the import statements, in order. Those from `__future__` are left out.
        borrowed: what stands in the text that is not the model's own.
        methods: the methods among the functions, by their names there, `Linear.forward`: see `frontend.classes`.
    """

    text: str
    filename: str
    lines: tuple[str, ...]
    tree: ast.Module
    comments: Mapping[int, Comment]
    names: Names
    borrowed: Borrowed = field(default_factory=Borrowed)
    methods: Mapping[str, Method] = field(default_factory=dict)

    @property
    def imports(self) -> Mapping[str, str]:
        return self.names.imports

    @property
    def constants(self) -> Mapping[str, ast.expr]:
        return self.names.constants

    @property
    def functions(self) -> Mapping[str, ast.FunctionDef]:
        return self.names.functions

    @property
    def bound(self) -> frozenset[str]:
        return self.names.bound

    @property
    def import_texts(self) -> tuple[ImportStatement, ...]:
        return self.names.import_statements


def read_module(source: str, filename: str) -> Module:
    """Read a source file.

    Raises:
        Refused: FG001 for a syntax error, FG002 where it is Python 2.
    """
    text = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = tuple(text.split("\n"))
    for number, line in enumerate(lines, 1):
        if "\0" in line:  # an error without a place to Python's own parser
            column = line.index("\0")
            raise Refused([invalid_python("a null character", Span(number, column, number, column + 1))])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in the user's strings is no business of ours
            tree = with_imports_at_the_head(ast.parse(text))
        comments = {comment.line: comment for comment in _comments(text)}
    except SyntaxError as error:
        raise Refused([syntax_diagnostic(error, lines, filename)]) from None
    except tokenize.TokenError as error:
        message, (number, column) = error.args
        raise Refused([invalid_python(message, span_within(lines, number, column, number, column + 1))]) from None
    except UnicodeEncodeError as error:
        number = text.count("\n", 0, error.start) + 1
        column = error.start - (text.rfind("\n", 0, error.start) + 1)
        message = "half of a surrogate pair, which is not a character"
        raise Refused([invalid_python(message, Span(number, column, number, column + 1))]) from None
    except (RecursionError, MemoryError):
        raise Refused([invalid_python("an expression is nested too deeply for Python's parser", None)]) from None
    return Module(text, filename, lines, tree, MappingProxyType(comments), module_names(tree))


def dotted_path(module: Module, node: ast.expr, shadowed: frozenset[str]) -> str | None:
    """What a name or a chain of attributes refers to: `np.linalg.norm` -> `numpy.linalg.norm`, `abs` -> `builtins.abs`.

    None where its root is one of `shadowed` (local variables), is bound by the module to something else than an
    import, or may come from a `from m import *`.
    """
    match node:
        case ast.Name(id=name):
            if name in shadowed:
                return None
            if name in module.imports:
                path = module.imports[name]
                # `.sum` is a method: what `from . import sum` binds is a thing of the package.
                return f".__init__{path}" if path.rpartition(".")[0] == "" and path.startswith(".") else path
            if name in module.bound or not hasattr(builtins, name) or star_import(module) is not None:
                return None
            return f"{BUILTIN}.{name}"
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in module.imports and name not in shadowed:
            return f"{module.imports[name]}.{attribute}"
        case ast.Attribute(value=value, attr=attribute):
            base = dotted_path(module, value, shadowed)
            return None if base is None else f"{base}.{attribute}"
        case _:
            return None


def star_import(module: Module) -> ImportStatement | None:
    """The first `from m import *`, if there is one: any name that nothing else binds may be one of m's."""
    return next((statement for statement in module.import_texts if "*" in statement.names), None)


def entry_functions(module: Module, names: tuple[str, ...]) -> tuple[str, ...]:
    """The functions of a file that are to be compiled, in the order of the file.

    Those in `names` if there are any (a base name stands for its `_forward`); else those called `*_forward`; else the
    functions that have a `return` with a value, a `_backward` beside its forward function apart. Functions whose names
    begin with an underscore, or for which the user declares a gate, are left to those that call them, unless they are
    asked for; so is `example_inputs`, which gives `flatgrad check` arguments. Of a class it is its forward method,
    where it has no backward one; the functions that such a class calls are left to it.

    Raises:
        Refused: FG060 for each of `names` that is no function of the file.
    """
    functions = {name: node for name, node in module.functions.items() if name not in module.borrowed.functions}
    if names:
        spellings = {name: (name, f"{name}_forward", *(f"{name}.{one}" for one in FORWARD)) for name in names}
        chosen = {next((one for one in spellings[name] if one in functions), "") for name in names}
        missing = [name for name in dict.fromkeys(names) if not functions.keys() & spellings[name]]
        if missing:
            raise Refused([_no_function(module, name) for name in missing])
        return tuple(name for name in functions if name in chosen)
    methods = tuple(name for name, method in module.methods.items() if method.is_entry)
    called = _called_by(method.owner for method in module.methods.values() if method.is_entry)
    public = [
        name
        for name in functions
        if not name.startswith("_")
        and f"{OWN}.{name}" not in BY_PATH
        and name not in module.methods
        and name != EXAMPLE_INPUTS
    ]
    forward = tuple(name for name in public if name.endswith("_forward"))
    if forward:
        return forward + methods
    return methods + tuple(
        name
        for name in public
        if name not in called
        and _returns_value(functions[name])
        and not (name.endswith("_backward") and name.removesuffix("_backward") in functions)
    )


def _called_by(classes: Iterable[ast.ClassDef]) -> set[str]:
    """The names that classes read."""
    return {part.id for one in classes for part in ast.walk(one) if isinstance(part, ast.Name)}


def span_of(module: Module, node: ast.AST) -> Span:
    """The place of a node, in characters (the syntax tree counts UTF-8 bytes)."""
    line, column = getattr(node, "lineno", None), getattr(node, "col_offset", None)
    end_line, end_column = getattr(node, "end_lineno", None), getattr(node, "end_col_offset", None)
    if line is None or column is None or end_line is None or end_column is None:
        raise ValueError(f"a {type(node).__name__} node has no place in the source")
    return span_within(
        module.lines,
        line,
        _characters(module.lines, line, column),
        end_line,
        _characters(module.lines, end_line, end_column),
    )


def name_span(module: Module, function: ast.FunctionDef) -> Span:
    """The place of a function's name in its `def` line."""
    span = span_of(module, function)
    text = module.lines[span.line - 1]
    found = re.compile(r"def\s+").match(text, span.column)
    name = function.name.rpartition(".")[2]
    if found is None or not text.startswith(name, found.end()):  # `def \` and the name on the next line
        return Span(span.line, span.column, span.line, max(span.column, len(text.rstrip())))
    return Span(span.line, found.end(), span.line, found.end() + len(name))


def text_at(module: Module, span: Span) -> str:
    """The source text of a place."""
    if span.line == span.end_line:
        return module.lines[span.line - 1][span.column : span.end_column]
    first = module.lines[span.line - 1][span.column :]
    last = module.lines[span.end_line - 1][: span.end_column]
    return "\n".join([first, *module.lines[span.line : span.end_line - 1], last])


def statement_text(module: Module, statement: ast.stmt) -> str:
    """A simple statement on one line, in the user's own spelling and without comments.

    A statement over several lines is joined where brackets and backslashes allow it; one that holds a string of
    several lines is spelt by `ast.unparse`.
    """
    text = text_at(module, span_of(module, statement))
    if "\n" not in text:
        return text
    same = ast.dump(statement)
    for joined in _joined(text):
        try:
            parsed = ast.parse(joined)
        except SyntaxError:
            continue
        if "\n" not in joined and len(parsed.body) == 1 and ast.dump(parsed.body[0]) == same:
            return joined
    return ast.unparse(statement)


def header_end(module: Module, statement: ast.stmt) -> tuple[int, int]:
    """Line and column behind the colon that ends the head of a compound statement.

    The head may span lines; a comment behind it may hold colons of its own.
    """
    assert isinstance(statement, ast.For | ast.While | ast.If | ast.With | ast.Try | ast.FunctionDef | ast.ClassDef)
    first = statement.body[0]
    before = span_of(module, first)
    line = before.line
    text = module.lines[line - 1][: before.column]
    while True:
        comment = module.comments.get(line)
        code = text if comment is None else text[: comment.column]
        if ":" in code:
            return line, code.rindex(":") + 1
        line -= 1
        text = module.lines[line - 1]


def stage_text(module: Module, statement: ast.stmt) -> str:
    """A statement on one line; of a compound statement its head, without the colon."""
    if not isinstance(statement, ast.For | ast.While | ast.If | ast.With | ast.Try | ast.FunctionDef | ast.ClassDef):
        return statement_text(module, statement)
    span = span_of(module, statement)
    line, column = header_end(module, statement)
    text = text_at(module, Span(span.line, span.column, line, column - 1))
    return " ".join(part.strip() for part in text.split("\n"))


def _joined(text: str) -> Iterator[str]:
    """The text on one line: first without commas before a closing bracket, then with them (`(x,)` needs its own)."""
    kinds = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.INDENT, tokenize.DEDENT)
    try:
        tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in kinds]
    except (tokenize.TokenError, SyntaxError):
        return
    for dropped in (True, False):
        parts: list[str] = []
        end = (1, 0)
        for index, token in enumerate(tokens):
            following = tokens[index + 1] if index + 1 < len(tokens) else None
            if dropped and token.string == "," and following is not None and following.string in (")", "]", "}"):
                continue
            if token.start[0] == end[0]:
                parts.append(" " * (token.start[1] - end[1]))
            elif parts and parts[-1] not in ("(", "[", "{") and token.string not in (")", "]", "}", ",", "."):
                parts.append(" ")
            parts.append(token.string)
            end = token.end
        yield "".join(parts)


def _comments(text: str) -> Iterator[Comment]:
    if "#" not in text:
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Comment(token.start[0], token.start[1], token.string.rstrip())


def _characters(lines: tuple[str, ...], line: int, column: int) -> int:
    text = lines[line - 1] if line <= len(lines) else ""
    if text.isascii():
        return column
    return len(text.encode()[:column].decode(errors="ignore"))


def _returns_value(function: ast.FunctionDef) -> bool:
    """Whether the function itself, not one inside it, returns something else than None."""
    rest: list[ast.AST] = list(function.body)
    while rest:
        node = rest.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                continue
            case ast.Return(value=value) if value is not None:
                if not (isinstance(value, ast.Constant) and value.value is None):
                    return True
        rest.extend(ast.iter_child_nodes(node))
    return False


def _no_function(module: Module, name: str) -> Diagnostic:
    what = f"there is no function {name} in {PurePath(module.filename).name}"
    for statement in module.tree.body:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            what = f"{name} is a class, not a function"
    own = [one for one in module.functions if one not in module.borrowed.functions]
    near = difflib.get_close_matches(name, own, 1)
    if near:
        help = f"did you mean {near[0]}?"
    elif own:
        help = f"its functions: {', '.join(own)}"
    else:
        help = "it has no function at its top level"
    return Diagnostic("FG060", what, None, help=help)
