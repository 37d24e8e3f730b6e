"""Gates that users declare, for a function of a library or of the model's own file. What is said is read, never run.

In a file that `gate-files` of `[tool.flatgrad]` names:

    swish = gate("mylib.swish(x)", backward={"x": "dz * (z + mylib.sigmoid(x) * (1 - z))"}, dtype="float")

or in pyproject.toml itself, under `[tool.flatgrad.gate."mylib.swish"]`, with the same fields. A call without a dot,
`clip_by_norm(x, c)`, is of a function that the model's own file defines. The operands are those of the alphabet that
the call names, and every name that has a backward rule; all else in the call is an attribute.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.gates.entry import ALPHABET, BY_PATH, DECLARED, REQUIRED, BackwardRule, Gate, Site, Spelling
from flatgrad.gates.installed import installed
from flatgrad.gates.written_calls import read_path, read_spelling, spelled
from flatgrad.ir.core import DType, Kind, Span, Value
from flatgrad.ir.dims import SCALAR, Shape

FIELDS = (
    "call", "also", "backward", "shape", "dtype", "proof", "numeric_only", "convention", "view", "domain", "samples",
)  # fmt: skip
DTYPES: Mapping[str, DType | str] = {
    "promote": "promote", "float": "float", "same": "same", "int": DType.INT, "bool": DType.BOOL,
}  # fmt: skip
# Shapes that are no signature: nothing broadcasts, and every contribution has the shape of its operand.
WHOLE = ("same", "scalar")
_MAY_NAME = (
    "it may name the parameters of the call, z, dz, np, math, special, and functions that have a gate themselves"
)


# What a declaration says


@dataclass(frozen=True, slots=True)
class Source:
    """A file with declarations in it."""

    text: str
    filename: str


@dataclass(frozen=True, slots=True)
class Declaration:
    """The fields of one gate as written, with the place of each; `place` is that of the whole."""

    source: Source
    fields: Mapping[str, object]
    place: Span | None
    places: Mapping[str, Span | None]
    key: str = ""  # what the table in pyproject.toml is called


@dataclass(frozen=True, slots=True)
class NumbersOnly:
    """A backward spelling of a gate with attributes: it sums over nothing along which one of them is broadcast."""

    spelling: str
    attributes: tuple[str, ...]

    def __call__(self, site: Site) -> str:
        for name in self.attributes:
            value = site.attrs.get(name)
            if not isinstance(value, Value):
                continue
            one = site.attribute_type(value)
            if one.kind is not Kind.OTHER and not one.shape.is_scalar:
                raise site.refuse(
                    f"{name} may be an array, and the declaration of the gate says nothing of its shape",
                    f'claim it to be a number, or make it an operand in the declaration: backward={{"{name}": "0", …}}',
                )
        return self.spelling


@dataclass(frozen=True, slots=True)
class WholeShape:
    """The shape of what a function makes of a whole array, of any rank: that of its first operand, or a number."""

    word: str
    first: tuple[str, ...]

    def __call__(self, site: Site) -> Shape:
        return site.shape(self.first[0]) if self.word == "same" and self.first else SCALAR


def read_gate_file(text: str, filename: str) -> tuple[Declaration, ...]:
    """The declarations in the text of a Python file, which is parsed and not run.

    Raises Refused for what is not Python, and for a statement that declares nothing.
    """
    from flatgrad.frontend.source import read_module, span_of

    source = Source(text, filename)
    try:
        module = read_module(text, filename)
    except Refused as refused:
        raise Refused(refused.diagnostics, text, filename) from None
    findings: list[Diagnostic] = []
    found: list[Declaration] = []
    for statement in module.tree.body:
        match statement:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
                continue
            case (
                ast.Assign(targets=[ast.Name()], value=ast.Call(func=ast.Name(id="gate")) as call)
                | ast.Expr(value=ast.Call(func=ast.Name(id="gate")) as call)
            ):
                found.append(_from_call(source, call, lambda node: span_of(module, node), findings))
            case _:
                findings.append(
                    Diagnostic(
                        "FG070",
                        "this declares no gate, and the file is not run",
                        span_of(module, statement),
                        help='it holds assignments `name = gate("mylib.f(x)", …)` whose arguments are literals',
                    )
                )
    if findings:
        raise Refused(findings, text, filename)
    return tuple(found)


def _from_call(
    source: Source, call: ast.Call, span: Callable[[ast.AST], Span], findings: list[Diagnostic]
) -> Declaration:
    fields: dict[str, object] = {}
    places: dict[str, Span | None] = {}
    given = [("call", argument) for argument in call.args]
    for keyword in call.keywords:
        given.append((keyword.arg or "**", keyword.value))
    for name, node in given:
        if name in fields:
            findings.append(Diagnostic("FG071", f"{name} is given twice", span(node)))
        places[name] = span(node)
        try:
            fields[name] = ast.literal_eval(node)
        except ValueError:
            fields[name] = None
            message = f"{name} is no literal, and the file is not run"
            findings.append(Diagnostic("FG070", message, span(node), help="write the value out"))
    return Declaration(source, fields, span(call), places)


# From declarations to gates


def declare(declarations: Iterable[Declaration]) -> tuple[Gate, ...]:
    """The gates that are declared, each checked: its fields, its call, its signature, its backward spellings.

    Raises Refused with every finding of the first file that has one.
    """
    readers = [_Reader(one) for one in declarations]
    taken: dict[str, str] = {}
    gates: list[Gate] = []
    for reader in readers:
        gate = reader.gate(taken)
        if gate is not None:
            gates.append(gate)
    with installed(gates):
        for reader in readers:
            reader.check_spellings()
    for reader in readers:
        source = reader.declaration.source
        findings = [f for other in readers if other.declaration.source == source for f in other.findings]
        if findings:
            raise Refused(findings, source.text, source.filename)
    return tuple(gates)


class _Reader:
    """Makes a gate of one declaration, and collects everything that is wrong with it."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.findings: list[Diagnostic] = []
        self.made: Gate | None = None

    def gate(self, taken: dict[str, str]) -> Gate | None:
        fields = self.declaration.fields
        for name in fields:
            if name not in FIELDS:
                self._wrong("FG071", f"a gate has no field {name}", name, f"the fields are {', '.join(FIELDS)}")
        backward = self._texts("backward")
        spellings = self._spellings(frozenset(backward), taken)
        if not spellings:
            return None
        first = spellings[0]
        operands = tuple(name for name in first.names if name in ALPHABET or name in backward)
        attributes = {n: one.defaults.get(n, REQUIRED) for one in spellings for n in one.names if n not in operands}
        for one in spellings:
            for name in operands:
                if name in one.defaults:
                    self._wrong(
                        "FG072", f"the operand {name} has a default value", "call", "only attributes may have one"
                    )
                elif name not in one.names:
                    self._wrong("FG072", f"{one.text} leaves out the operand {name}", "also")
        if "backward" not in fields:
            message = "backward is missing: a spelling for each operand, or {} for a result that carries no gradient"
            self._wrong("FG071", message, "call")
        for name in operands if backward else ():
            if name not in backward and name not in ("c", "i"):
                self._wrong("FG073", f"no gradient of {name}", "backward", 'where there is none it is spelt "0"')
        for name in backward:
            if name not in operands:
                self._wrong("FG073", f"a gradient of {name}, which the call does not name", "backward")
        dtype = self._text("dtype", "promote")
        if dtype not in DTYPES:
            self._wrong("FG071", f"dtype is one of {', '.join(DTYPES)}", "dtype")
        if backward and dtype in ("int", "bool"):
            self._wrong("FG071", f"a result that is {dtype} carries no gradient", "dtype")
        shape = self._signature(len(operands))
        rules: dict[str, BackwardRule] = {
            name: NumbersOnly(text, tuple(attributes)) if attributes else text for name, text in backward.items()
        }
        samples = self._samples(len(operands))
        proof = self._text("proof", "")
        elementwise = shape not in WHOLE and set(shape) <= set("(),->")
        if proof not in ("", "numpy") and not elementwise:
            help = 'leave it out: numbers will do. Or write "numpy", where the function takes arrays of symbols'
            self._wrong("FG071", "such a proof is for functions of single numbers", "proof", help)
        convention, numeric_only = self._text("convention", ""), self._text("numeric_only", "")
        view = fields.get("view", False)
        if not isinstance(view, bool):
            self._wrong("FG071", "view is true or false", "view")
        domain = self._domain()
        if self.findings:
            return None
        self.made = Gate(
            name=first.path,
            spellings=tuple(spellings),
            operands=operands,
            attributes=attributes,
            backward=rules,
            shape=WholeShape(shape, operands[:1]) if shape in WHOLE else shape,
            dtype=DTYPES[dtype],
            proof=proof or None,
            numeric_only=numeric_only,
            convention=convention,
            view=view is True,
            elementwise=elementwise,
            domain=domain,
            samples=samples,
            section=DECLARED,
        )
        return self.made

    def check_spellings(self) -> None:
        """The backward spellings are in the language that the compiler reads. The declared gates are installed."""
        from flatgrad.differentiate.rules import complaint

        if self.made is None:
            return
        names = (*self.made.operands, *self.made.attributes)
        for name, text in self._texts("backward").items():
            try:
                found = complaint(text, names)
            except RecursionError:
                found = "nested too deeply"
            used = set() if found else {part.id for part in ast.walk(ast.parse(text)) if isinstance(part, ast.Name)}
            if not found and "dz" not in used and text.strip() != "0":
                found = "it does not depend on dz, the gradient of the result (none at all is spelt 0)"
            if found:
                self._wrong("FG073", f"the gradient of {name} is not understood: {found}", "backward", _MAY_NAME)

    # The fields

    def _wrong(self, code: str, message: str, name: str, help: str = "") -> None:
        place = self.declaration.places.get(name, self.declaration.place)
        self.findings.append(Diagnostic(code, message, place, help=help))

    def _text(self, name: str, default: str) -> str:
        value = self.declaration.fields.get(name, default)
        if not isinstance(value, str):
            self._wrong("FG071", f"{name} is a string", name)
            return default
        return value

    def _texts(self, name: str) -> dict[str, str]:
        value = self.declaration.fields.get(name, {})
        if not isinstance(value, dict) or not all(isinstance(n, str) and isinstance(t, str) for n, t in value.items()):
            self._wrong("FG071", f'{name} is a table of spellings, such as {{"x": "dz * y"}}', name)
            return {}
        return value

    def _spellings(self, operands: frozenset[str], taken: dict[str, str]) -> list[Spelling]:
        also = self.declaration.fields.get("also", ())
        if not isinstance(also, list | tuple) or not all(isinstance(one, str) for one in also):
            self._wrong("FG071", "also is a list of calls", "also")
            also = ()
        if "call" not in self.declaration.fields:
            self._wrong("FG071", "call is missing: the call as it is read, `mylib.f(x)`", "call")
            return []
        found: list[Spelling] = []
        for name, text in [("call", self._text("call", "")), *(("also", str(one)) for one in also)]:
            try:
                spelling = read_spelling(text)
            except ValueError as error:
                self._wrong("FG072", f"{text!r} cannot be declared: {error}", name)
                continue
            if any(gate.section != DECLARED for gate, _ in BY_PATH.get(spelling.path, ())):
                self._wrong("FG072", f"flatgrad has a gate for {spelled(spelling.path)} of its own", name)
            elif spelling.path in taken:
                self._wrong(
                    "FG072", f"{spelled(spelling.path)} is declared twice, also in {taken[spelling.path]}", name
                )
            taken[spelling.path] = self.declaration.source.filename
            found.append(spelling)
        key = self.declaration.key
        if found and key and read_path(key) != found[0].path:
            self._wrong("FG072", f"the table is that of {key}, the call is of {spelled(found[0].path)}", "call")
        return found

    def _signature(self, count: int) -> str:
        shape = self._text("shape", ",".join(["()"] * max(count, 1)) + "->()").replace(" ", "")
        if shape in WHOLE:
            return shape
        part = r"\((?:\w+(?:,\w+)*)?\)"
        if not re.fullmatch(rf"{part}(?:,{part})*->{part}", shape, re.ASCII):
            help = f"write it as NumPy does, `(n,k),(k)->(n)`, or one of {', '.join(WHOLE)}"
            self._wrong("FG074", f"{shape!r} is no signature", "shape", help)
            return "()->()"
        inputs, output = shape.split("->")
        if len(re.findall(r"\(", inputs)) != max(count, 1):
            self._wrong("FG074", f"{shape!r} is a signature of another number of operands than {count}", "shape")
        labels = set(re.findall(r"\w+", inputs))
        for label in re.findall(r"\w+", output):
            if label not in labels:
                self._wrong("FG074", f"no operand says how large {label} is", "shape")
        for label in (*labels, *re.findall(r"\w+", output)):
            if label.isdigit():
                self._wrong("FG074", f"the dim {label} in {shape!r} is a number", "shape", "give it a name")
        return shape

    def _domain(self) -> tuple[float, float]:
        match self.declaration.fields.get("domain", (-2.0, 2.0)):
            case [int() | float() as low, int() | float() as high] if low < high:
                return float(low), float(high)
        self._wrong("FG071", "domain is two numbers, the smaller first", "domain")
        return -2.0, 2.0

    def _samples(self, count: int) -> dict[str, object]:
        samples = self.declaration.fields.get("samples", {})
        if not isinstance(samples, dict):
            self._wrong("FG071", "samples is a table with shapes, attrs, …", "samples")
            return {}
        found: dict[str, object] = dict(samples)
        for name in found:
            if name not in ("shapes", "attrs", "operands", "step"):
                self._wrong(
                    "FG071", f"samples has no field {name}", "samples", "its fields: shapes, attrs, operands, step"
                )
        if "shapes" in found:
            shapes = _tuples(found["shapes"])  # TOML has lists where a shape is a tuple
            if not _are_uses(shapes, count):
                what = f"samples.shapes is a list of uses, each {count} shapes: [[[2, 3], [3]]] for two operands"
                self._wrong("FG071", what, "samples")
                return {}
            found["shapes"] = list(shapes)
        if not isinstance(found.get("attrs", []), list):
            self._wrong("FG071", "samples.attrs is a list of tables", "samples")
        return found


def _are_uses(shapes: object, count: int) -> TypeGuard[tuple[tuple[tuple[int, ...], ...], ...]]:
    return isinstance(shapes, tuple) and all(
        isinstance(use, tuple)
        and len(use) == count
        and all(isinstance(shape, tuple) and all(type(dim) is int for dim in shape) for shape in use)
        for use in shapes
    )


def _tuples(value: object) -> object:
    return tuple(_tuples(part) for part in value) if isinstance(value, list | tuple) else value
