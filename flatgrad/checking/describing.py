"""From source text to `Parameter`s: what the compiler infers, what docstrings and annotations claim, what usage and
names suggest, in this order."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flatgrad.checking.guessing import ABSENT, WINDOW, Absent, ParameterReader, numbers_for
from flatgrad.checking.mentions import documents
from flatgrad.checking.parameters import Parameter, Role, Where
from flatgrad.checking.usage import read_uses
from flatgrad.checking.use import Constant, Use
from flatgrad.diagnostics import Refused
from flatgrad.ir.core import Kind, Literal, Relation, Type, Value, every_step
from flatgrad.ir.dims import Dim

if TYPE_CHECKING:
    from flatgrad.frontend.claim import Claim
    from flatgrad.frontend.source import Module
    from flatgrad.options import Options

_FORWARD = ("forward", "__call__")


@dataclass(frozen=True, slots=True)
class _Known:
    """What the compiler says: the types of the parameters, and of the entries of those that are dicts."""

    types: Mapping[str, Type]
    entries: Mapping[str, Mapping[str, Type]]


def describe_function(source: str, filename: str, function: str, options: Options) -> tuple[Parameter, ...]:
    """See `flatgrad.checking.inputs.describe`."""
    from flatgrad.frontend.linking import link
    from flatgrad.frontend.source import read_module

    own = read_module(source, filename)
    try:
        module = link(own).module
    except Refused:
        module = own
    known = _compiled(module, function, options)
    found = _find(own, function) or _linked(module, function)
    if found is None:
        raise LookupError(f"{filename} has no function {function}")
    node, owner = found
    if owner is None:
        claims = _claims(own, node, options)
        uses = read_uses(node, module.functions)
        return tuple(_described(own, node, uses, claims, known))
    return tuple(_method(module, own, owner, node, known, options))


def _find(module: Module, function: str) -> tuple[ast.FunctionDef, ast.ClassDef | None] | None:
    name, dot, method = function.partition(".")
    if not dot:
        for spelling in (name, f"{name}_forward"):
            for node in reversed(module.tree.body):
                if isinstance(node, ast.FunctionDef) and node.name == spelling:
                    return node, None
    for owner in module.tree.body:
        if isinstance(owner, ast.ClassDef) and owner.name == name:
            own = {one.name: one for one in owner.body if isinstance(one, ast.FunctionDef)}
            for spelling in (method,) if dot else _FORWARD:
                if spelling in own:
                    return own[spelling], owner
    return None


def _linked(module: Module, function: str) -> tuple[ast.FunctionDef, None] | None:
    """A function that the file imports from another one of its project."""
    for spelling in (function, f"{function}_forward"):
        if spelling in module.functions:
            return module.functions[spelling], None
    return None


# What the compiler knows


def _compiled(module: Module, function: str, options: Options) -> _Known:
    from flatgrad.compiler import Compilation
    from flatgrad.frontend.classes import with_methods
    from flatgrad.gates.installed import installed

    nothing = _Known({}, {})
    wanted = (function,)
    try:
        with installed(options.declared):
            names = {one for one in (function, f"{function}_forward") if one in module.functions}
            made = with_methods(module, wanted)
            keys = {f"{function}.{one}" for one in _FORWARD} & made.functions.keys()
            name = next(iter(names | keys | ({function} & made.functions.keys())), None)
            if name is None:
                return nothing
            compilation = Compilation(made, replace(options, functions=wanted))
            compilation.function(name)
            if options.presume:
                compilation.presume_ranks([name])
            lowered = compilation.function(name)
    except Refused:
        return nothing
    except Exception:  # a defect of the compiler is reported by those who compile
        return nothing
    types = {value.name: value.type for value in lowered.function.block.params}
    # The raw function keeps the names of the parameters where a group took over the steps.
    owners: dict[Value, str] = {value: value.name for value in lowered.function.block.params}
    entries: dict[str, dict[str, Type]] = {}
    for step in every_step(lowered.function.block):
        if not isinstance(step, Relation) or not step.args:
            continue
        base = step.args[0]
        if not isinstance(base, Value) or base not in owners:
            continue
        if step.gate == "alias":
            owners[step.out] = owners[base]
        elif step.gate == "entry":
            key = step.attrs.get("key")
            if key is None and len(step.args) > 1 and isinstance(step.args[1], Literal):
                key = step.args[1].value  # type: ignore[assignment]
            if isinstance(key, str):
                entries.setdefault(owners[base], {}).setdefault(key, step.out.type)
    return _Known(types, entries)


def _claims(module: Module, node: ast.FunctionDef, options: Options) -> dict[str, list[Claim]]:
    from flatgrad.frontend.claims import parameter_claims

    found: dict[str, list[Claim]] = {}
    try:
        claims = parameter_claims(module, node, options.shapes)
    except Refused:
        return {}
    for claim in claims:
        found.setdefault(claim.name, []).append(claim)
    return found


# One function


def _described(
    module: Module,
    node: ast.FunctionDef,
    uses: Mapping[str, Use],
    claims: Mapping[str, Sequence[Claim]],
    known: _Known,
    receiver: str = "",
    numeric: bool | None = None,
    around: str = "",
) -> Iterator[Parameter]:
    defaults = defaults_of(node)
    document = documents(node) + "\n" + around
    if numeric is None:
        numeric = not receiver and not node.name.endswith("_forward") and _is_scalar_code(node, module)
    keyed = any(use.prefixes for use in uses.values())
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        name = argument.arg
        if name == receiver:
            continue
        use = uses.get(name, Use())
        reader = ParameterReader(
            name, use, claims, known.types.get(name), known.entries.get(name, {}), document, numeric
        )
        default = defaults.get(name, ABSENT)
        made = reader.parameter(default)
        if made.role is Role.INTEGER and isinstance(default, int) and keyed:
            made = replace(made, choices=(default,))  # the dict holds that many layers
        yield made


def defaults_of(node: ast.FunctionDef) -> dict[str, Constant | Absent | ast.expr]:
    """The default values of a function's parameters: constants as they are, anything else as an expression."""
    positional = [*node.args.posonlyargs, *node.args.args]
    late = positional[len(positional) - len(node.args.defaults) :]
    pairs = [
        *zip(late, node.args.defaults, strict=True),
        *((one, default) for one, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if default),
    ]
    found: dict[str, Constant | Absent | ast.expr] = {}
    for argument, default in pairs:
        try:
            value = _arithmetic(default)
        except ValueError:
            found[argument.arg] = default
            continue
        found[argument.arg] = value if isinstance(value, str | int | float | bool | None) else default
    return found


def _arithmetic(node: ast.expr) -> object:
    """The value of a literal, or of a product or a sum of numbers: `3 * 32 * 32`. Raises ValueError for others."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Add):
        left, right = _arithmetic(node.left), _arithmetic(node.right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return left * right if isinstance(node.op, ast.Mult) else left + right
        raise ValueError
    return ast.literal_eval(node)


def _is_scalar_code(node: ast.FunctionDef, module: Module) -> bool:
    """Whether a function reads as arithmetic of plain numbers: no product of matrices, no index, no function of NumPy
    but what `math` has as well."""
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript) or (isinstance(part, ast.BinOp) and isinstance(part.op, ast.MatMult)):
            return False
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in ("np", "numpy"):
            return False
        if isinstance(part, ast.Attribute) and part.attr in ("shape", "T", "dot", "sum", "mean", "reshape", "size"):
            return False
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
            if not (isinstance(part.func.value, ast.Name) and part.func.value.id == "math"):
                return False  # `Linear.forward(x, w, b)`: nobody knows
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in module.functions:
            if module.functions[part.func.id] is not node and not _is_scalar_code(
                module.functions[part.func.id], module
            ):
                return False
    return True


# Methods


def _method(
    module: Module, own: Module, owner: ast.ClassDef, node: ast.FunctionDef, known: _Known, options: Options
) -> Iterator[Parameter]:
    from flatgrad.frontend.methods import MARK

    lineage = _lineage(own, owner)
    methods: dict[str, ast.FunctionDef] = {}
    for one in reversed(lineage):
        methods |= {part.name: part for part in one.body if isinstance(part, ast.FunctionDef)}
    static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)
    receiver = node.args.args[0].arg if node.args.args and not static else ""
    uses = read_uses(node, module.functions, receiver, methods)
    constructor = methods.get("__init__")
    document = documents(owner, constructor)
    said = _said_by_class(own, owner, constructor, methods, uses)
    claims = said | _claims(own, node, options)
    yield from _described(own, node, uses, claims, known, receiver, around=document)
    if constructor is not None:
        yield from _constructor(module, own, constructor, methods, uses, options, document, said)
    set_by_constructor = _stored(constructor) if constructor is not None else set()
    written = _stored(node)
    for name, use in uses.items():
        if not name.startswith("self."):
            continue
        bare = name.removeprefix("self.")
        type_ = known.types.get(f"self{MARK}{bare}")
        sure = type_ is not None and type_.shape.rank is not None and type_.kind is Kind.ARRAY
        if bare in set_by_constructor and not sure:
            continue  # what the constructor makes of it is right
        if bare in written and bare not in set_by_constructor and not sure:
            continue
        claimed = {name: said[bare]} if bare in said else {}
        reader = ParameterReader(name, use, claimed, type_, known.entries.get(f"self{MARK}{bare}", {}), document)
        yield replace(reader.parameter(ABSENT), where=Where.ATTRIBUTE)


def _said_by_class(
    own: Module,
    owner: ast.ClassDef,
    constructor: ast.FunctionDef | None,
    methods: Mapping[str, ast.FunctionDef],
    uses: Mapping[str, Use],
) -> dict[str, list[Claim]]:
    """What the docstring of a class and the comments in its constructor say, by attribute and parameter."""
    from flatgrad.frontend.class_claims import class_claims

    names = {name.removeprefix("self.") for name in uses}
    names |= {argument.arg for method in methods.values() for argument in method.args.args}
    return {claim.name: [claim] for claim in class_claims(own, owner, constructor, frozenset(names))}


def _constructor(
    module: Module,
    own: Module,
    constructor: ast.FunctionDef,
    methods: Mapping[str, ast.FunctionDef],
    forward_uses: Mapping[str, Use],
    options: Options,
    document: str,
    said: Mapping[str, list[Claim]],
) -> Iterator[Parameter]:
    receiver = constructor.args.args[0].arg if constructor.args.args else ""
    uses = read_uses(constructor, module.functions, receiver, methods)
    # What is kept as an attribute is used as forward uses that.
    for target, value in _pairs_assigned(constructor):
        match target, value:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute), ast.Name(id=parameter) if name == receiver:
                if parameter in uses and f"self.{attribute}" in forward_uses:
                    uses[parameter].absorb(forward_uses[f"self.{attribute}"])
    claims = {**said, **_claims(own, constructor, options)}
    for made in _described(own, constructor, uses, claims, _Known({}, {}), receiver, False, document):
        number = None
        if made.role is Role.INTEGER and numbers_for(made.name) == (2, 1, 3) and not WINDOW.fullmatch(made.name):
            number = Dim.symbol(made.name)
        yield replace(made, name=f"__init__.{made.name}", where=Where.CONSTRUCTOR, number=number)


def _pairs_assigned(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr]]:
    for part in ast.walk(function):
        match part:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                yield from zip(targets, values, strict=False)
            case ast.Assign(targets=[target], value=value):
                yield target, value


def _lineage(module: Module, owner: ast.ClassDef) -> list[ast.ClassDef]:
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    found = [owner]
    for one in found:
        for base in one.bases:
            known = classes.get(base.id) if isinstance(base, ast.Name) else None
            if known is not None and known not in found:
                found.append(known)
    return found


def _stored(node: ast.FunctionDef) -> set[str]:
    """The attributes of its object that a method assigns."""
    receiver = node.args.args[0].arg if node.args.args else ""
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Store)
        and isinstance(part.value, ast.Name)
        and part.value.id == receiver
    }
