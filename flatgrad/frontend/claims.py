"""Claims about shapes: what annotations, docstrings, comments and `--shape` say, with the place of each.

A claim is used and then checked by a guard in the generated module, so that a false one is an error at run time. Where
a text may mean something else, no claim is made.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.annotations import Said, read_annotation
from flatgrad.frontend.claim import Claim, Origin
from flatgrad.frontend.claim_comments import read_comment
from flatgrad.frontend.claim_conflicts import contradictions, distinct
from flatgrad.frontend.docstrings import read_docstring
from flatgrad.frontend.mentions import Mention, Text
from flatgrad.frontend.shapetext import GROUP, Unreadable, kind_of, read_shape
from flatgrad.frontend.source import Module, span_of, text_at
from flatgrad.ir.core import DType, Span
from flatgrad.ir.dims import SCALAR


def parameter_claims(
    module: Module, function: ast.FunctionDef, shapes: tuple[tuple[str, str], ...] = ()
) -> tuple[Claim, ...]:
    """What is said of a function's parameters, in their order; of one parameter annotations come first, then the
    docstring, comments in the signature and `shapes` (`--shape X=N,D` is `("X", "N,D")`).

    A parameter whose default is None has claims about its shape only, which hold where it is not None. `shapes` for
    other names are left alone: `check_options` knows the parameters of all entries.

    Raises:
        Refused: FG050 for each parameter of which two claims contradict each other, FG051 for a shape that is
            malformed.
    """
    claims: list[Claim] = []
    malformed: list[Diagnostic] = []
    defaults = _defaults(function)
    parameters = _parameters(function)
    documented = _documented(module, function)
    noted = _head_comments(module, function)
    for parameter in parameters:
        found: list[Claim] = []
        if parameter.annotation is not None:
            try:
                found += _annotated(module, parameter.arg, parameter.annotation)
            except Unreadable as error:
                malformed.append(_malformed(error, parameter.annotation, module))
        found += _settled([claim for claim in documented if claim.name == parameter.arg])
        found += _beside(module, parameter, parameters)
        found += _settled([claim for claim in noted if claim.name == parameter.arg])
        if parameter.arg not in defaults:
            entries = [claim for claim in documented if claim.name.startswith(f"{parameter.arg}[")]
            for name in dict.fromkeys(claim.name for claim in entries):
                found += _settled([claim for claim in entries if claim.name == name])
        found = [claim for claim in found if _allows(defaults.get(parameter.arg), claim)]
        for name, text in shapes:
            if name == parameter.arg:
                try:
                    found.append(_option(name, text, span_of(module, parameter)))
                except Unreadable as error:
                    malformed.append(_malformed_option(name, text, error))
        if _is_none(defaults.get(parameter.arg)):
            found = [replace(claim, unless_none=True) for claim in found]
        claims += distinct(found)
    clashes = list(contradictions(claims))
    if malformed or clashes:
        raise Refused([*malformed, *clashes])
    return tuple(claims)


def statement_claims(module: Module, function: ast.FunctionDef) -> tuple[Claim, ...]:
    """What is said of local variables: annotations of assignments and the comments behind them, each with its
    `statement`; and what the docstring says of results that it names, with none.

    Raises:
        Refused: FG051 for an annotation that is a malformed shape.
    """
    claims: list[Claim] = []
    malformed: list[Diagnostic] = []
    for statement in _statements(function.body):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                try:
                    claims += [replace(claim, statement=statement) for claim in _annotated(module, name, annotation)]
                except Unreadable as error:
                    malformed.append(_malformed(error, annotation, module))
            case _:
                continue
        end = span_of(module, statement)
        comment = module.comments.get(end.end_line)
        if comment is not None and not module.lines[end.end_line - 1][end.end_column : comment.column].strip():
            claim = read_comment(name, Text.at(comment.text, comment.line, comment.column))
            if claim is not None:
                claims.append(replace(claim, statement=statement))
    if malformed:
        raise Refused(malformed)
    claims += [claim_of(mention) for mention in _mentions(module, function) if mention.is_result]
    return tuple(claims)


def check_options(functions: Iterable[ast.FunctionDef], shapes: tuple[tuple[str, str], ...]) -> None:
    """Check `--shape` against the functions that are compiled.

    Raises:
        Refused: FG052 for a name that is a parameter of none of them, FG051 for a malformed shape.
    """
    names = list(dict.fromkeys(parameter.arg for function in functions for parameter in _parameters(function)))
    findings: list[Diagnostic] = []
    for name, text in shapes:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            help = f"did you mean {near[0]}?" if near else f"the parameters: {', '.join(names) or 'none'}"
            findings.append(Diagnostic("FG052", f"--shape {name}={text}: {name} is no parameter", None, help=help))
            continue
        try:
            _option(name, text, Span(1, 0, 1, 0))
        except Unreadable as error:
            findings.append(_malformed_option(name, text, error))
    if findings:
        raise Refused(findings)


# Signatures


def _parameters(function: ast.FunctionDef) -> tuple[ast.arg, ...]:
    arguments = function.args
    return (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)


def _defaults(function: ast.FunctionDef) -> dict[str, ast.expr]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    late = positional[len(positional) - len(arguments.defaults) :]
    found = {parameter.arg: default for parameter, default in zip(late, arguments.defaults, strict=True)}
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            found[parameter.arg] = default
    return found


def _is_none(default: ast.expr | None) -> bool:
    return isinstance(default, ast.Constant) and default.value is None


def _allows(default: ast.expr | None, claim: Claim) -> bool:
    """Whether a call that leaves the parameter out would keep to the claim, by the look of its default."""
    match default:
        case ast.Constant(value=None):
            return claim.shape is not None and not claim.shape.is_scalar
        case ast.Constant(value=bool() | int() | float()) | ast.UnaryOp(operand=ast.Constant()):
            return claim.shape in (None, SCALAR) and claim.kind in (None, "scalar")
        case _:
            return True


def _annotated(module: Module, name: str, annotation: ast.expr) -> Iterator[Claim]:
    said: Said | None = read_annotation(module, name, annotation)
    if said is not None:
        span = span_of(module, annotation)
        yield Claim(name, said.shape, said.dtype, said.kind, span, "annotation", text_at(module, span))


def _beside(module: Module, parameter: ast.arg, parameters: tuple[ast.arg, ...]) -> Iterator[Claim]:
    """A comment behind the only parameter in its line."""
    line = parameter.end_lineno or parameter.lineno
    if sum(other.lineno == line for other in parameters) == 1 and line in module.comments:
        comment = module.comments[line]
        claim = read_comment(parameter.arg, Text.at(comment.text, comment.line, comment.column))
        if claim is not None:
            yield claim


# Docstrings


def docstring_lines(module: Module, node: ast.FunctionDef | ast.ClassDef) -> tuple[Text, ...]:
    """The lines between the quotes of a docstring, each with its place in the file; none where there is none."""
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str()) as literal), *_]:
            span = span_of(module, literal)
        case _:
            return ()
    lines: list[Text] = []
    # The text between the quotes as it stands in the file: what is found in it keeps its place.
    source = text_at(module, span)
    opening = re.match(r"[A-Za-z]*(\"\"\"|'''|\"|')", source)
    quotes = opening.group(1) if opening else ""
    begin, end = (opening.end() if opening else 0), len(source) - len(quotes)
    offset = 0
    for number, line in enumerate(source.split("\n")):
        first, last = max(begin - offset, 0), max(min(len(line), end - offset), 0)
        lines.append(Text.at(line[first:last], span.line + number, first + (span.column if number == 0 else 0)))
        offset += len(line) + 1
    return tuple(lines)


def _mentions(module: Module, function: ast.FunctionDef) -> tuple[Mention, ...]:
    lines = docstring_lines(module, function)
    return read_docstring(lines, frozenset(parameter.arg for parameter in _parameters(function))) if lines else ()


def _head_comments(module: Module, function: ast.FunctionDef) -> tuple[Claim, ...]:
    """`# x: (N, D), w: (D, M)` in lines of their own above the first statement, or behind the signature."""
    body = function.body
    first = 1 if docstring_lines(module, function) else 0
    if len(body) == first:
        return ()
    lines: list[Text] = []
    for line in range(function.lineno, body[first].lineno):
        comment = module.comments.get(line)
        if comment is None:
            continue
        before = module.lines[line - 1][: comment.column].strip()
        if not before or before.endswith(":"):
            words = Text.at(comment.text, comment.line, comment.column)
            lines.append(words.part(len(comment.text) - len(comment.text.lstrip("# "))))
    mentions = read_docstring(tuple(lines), frozenset(parameter.arg for parameter in _parameters(function)))
    said = [mention for mention in mentions if not mention.is_result and mention.certain and mention.shape is not None]
    return tuple(claim_of(mention, "comment") for mention in said)


def _documented(module: Module, function: ast.FunctionDef) -> list[Claim]:
    mentions = [mention for mention in _mentions(module, function) if not mention.is_result]
    certain = {mention.name for mention in mentions if mention.certain}
    annotated = {parameter.arg for parameter in _parameters(function) if parameter.annotation is not None}
    # "the strength of ..." says something only where nothing clearer is said.
    return [claim_of(m) for m in mentions if m.certain or m.name not in certain | annotated]


def claim_of(mention: Mention, origin: Origin = "docstring") -> Claim:
    return Claim(mention.name, mention.shape, mention.dtype, mention.kind, mention.span, origin, mention.text)


def _settled(claims: list[Claim]) -> list[Claim]:
    """What a docstring says of one name; nothing where it gives two shapes, for which there may be a reason."""
    shapes = {claim.shape for claim in claims if claim.shape is not None}
    return claims if len(shapes) <= 1 else []


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement of a function, those of nested functions and classes apart."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for attribute in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, attribute, []))
        for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _statements(part.body)


# Options


def _option(name: str, text: str, span: Span) -> Claim:
    """Read `N,D` or `(N, D)` or `N D int`. Raises Unreadable."""
    words = text.strip()
    typed = re.fullmatch(r"(?P<dims>.*?)(?:^|[\s,]+)(?P<dtype>int|bool|float)", words)
    dtype = None
    if typed is not None:
        words, dtype = (
            typed["dims"].strip(),
            {"int": DType.INT, "bool": DType.BOOL, "float": DType.FLOAT}[typed["dtype"]],
        )
    bracketed = re.fullmatch(GROUP, words)
    if bracketed is not None:
        words = bracketed["inner"]
    if "," not in words and len(words.split()) > 1:
        words = ",".join(words.split())
    shape = read_shape(words, name)
    return Claim(name, shape, dtype, kind_of(shape), span, "option", f"--shape {name}={text}")


def _malformed_option(name: str, text: str, error: Unreadable) -> Diagnostic:
    help = "write the dims with commas between them: --shape X=N,D, or --shape b=4*H, or --shape x=N,... "
    return Diagnostic("FG051", f"--shape {name}={text} is no shape: {error}", None, help=help.strip())


def _malformed(error: Unreadable, annotation: ast.expr, module: Module) -> Diagnostic:
    help = 'dims are names, numbers and products of them, with blanks between: "N D", "N 2*H", "... D", "N int"'
    return Diagnostic("FG051", "this annotation is no shape", span_of(module, annotation), str(error), help)
