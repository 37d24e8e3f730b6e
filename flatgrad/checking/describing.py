"""From source text to `Parameter`s: what the compiler infers, what docstrings and annotations claim, what usage and
names suggest, in this order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flatgrad.checking.mentions import documents, mentioned_shape
from flatgrad.checking.parameters import Domain, Parameter, Role, Where
from flatgrad.checking.usage import Constant, Use, read_uses
from flatgrad.diagnostics import Refused
from flatgrad.ir.core import DType, Kind, Literal, Relation, Type, Value, every_step
from flatgrad.ir.dims import SCALAR, Dim, Shape

if TYPE_CHECKING:
    from flatgrad.compiler import Options
    from flatgrad.frontend.claims import Claim
    from flatgrad.frontend.source import Module

_FORWARD = ("forward", "__call__")

_BIAS = re.compile(r"(b|bias|gamma|beta|mu|mean|sigma|var|std|m)(_?\w)?|\w*(bias|_mean|_var)|b[a-z]?h?|b_\w+")
_NUMBER = re.compile(
    r"reg(_\w+)?|lam|lambd|lambda_|lmbda|lr|learning_rate|eps|epsilon|alpha|eta|momentum|rho|decay|weight_decay|tau|temp"
    r"|temperature|delta|margin|p|keep_prob|drop(out)?(_prob|_rate|_ratio)?|dt|h_step|step_size|slope|negative_slope|c0"
)
_MATRIX = re.compile(
    r"[A-Z]\w*|x|x\d|inputs?|data|features|h|h0|c0|h_?prev|prev_h|prev_c|c_?prev|hidden|logits|scores|z\d?|a\d?"
)
_SMALL = re.compile(r"reg(_\w+)?|lam|lambd|lambda_|lmbda|lr|learning_rate|eps|epsilon|weight_decay|dt|step_size")
_UNIT = re.compile(r"p|keep_prob|drop(out)?(_prob|_rate|_ratio|_p)?|momentum|rho|decay|prob|q|slope|negative_slope")
_POSITIVE = re.compile(
    r"(running_|\w+_)?(var|variance)|std|sigma\d?|scale|eps|tau|temp|temperature|lengthscale|sig|precision|gamma_head"
)
_LABELS = re.compile(r"labels?|targets?|idx|indices|index|tokens?|word_?ids?|y_(true|train|batch)|classes|obs|ix")
_COUNT = re.compile(
    r"num_\w+|n_\w+|\w+_(size|dim|units|features|heads|steps|layers|classes|count|height|width)|stride|pad|padding|kernel\w*"
    r"|ksize|dilation|groups?|heads|steps?|T|K|G|n_?(in|out|h|hidden)|fan_(in|out)|seed|size|units|[fhw]h|[fhw]w"
    r"|in_\w+|out_\w+"
)
_WINDOW = re.compile(
    r"kernel\w*|k|ksize|filter_(size|height|width)|f|pool\w*|window\w*|field_\w+|[hfwk][hw]|num_layers|depth|steps?"
)
_FILTERS = re.compile(r"[wWkKfF]\d?|filters?\d?|kernels?|weights?\d?|HH|WW|K|KH|KW|FH|FW|kh|kw")


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
    from flatgrad.compiler import _Compilation
    from flatgrad.frontend.classes import with_methods
    from flatgrad.gates.declared import installed

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
            compilation = _Compilation(made, replace(options, functions=wanted))
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
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        name = argument.arg
        if name == receiver:
            continue
        use = uses.get(name, Use())
        reader = _Reader(name, use, claims, known.types.get(name), known.entries.get(name, {}), document, numeric)
        yield reader.parameter(defaults.get(name, _ABSENT))


class _Absent:
    """Stands for a default value that is not there."""


_ABSENT = _Absent()


def defaults_of(node: ast.FunctionDef) -> dict[str, Constant | _Absent | ast.expr]:
    """The default values of a function's parameters: constants as they are, anything else as an expression."""
    positional = [*node.args.posonlyargs, *node.args.args]
    late = positional[len(positional) - len(node.args.defaults) :]
    pairs = [
        *zip(late, node.args.defaults, strict=True),
        *((one, default) for one, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if default),
    ]
    found: dict[str, Constant | _Absent | ast.expr] = {}
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
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in module.functions:
            if module.functions[part.func.id] is not node and not _is_scalar_code(
                module.functions[part.func.id], module
            ):
                return False
    return True


@dataclass(frozen=True, slots=True)
class _Reader:
    """All that is known of one parameter."""

    name: str
    use: Use
    claims: Mapping[str, Sequence[Claim]]
    type: Type | None
    entries: Mapping[str, Type]
    document: str
    numeric: bool = False

    def parameter(self, default: Constant | _Absent | ast.expr) -> Parameter:
        optional = not isinstance(default, _Absent)
        words = [one for one in self.use.constants if isinstance(one, str)]
        made = Parameter(self.name, optional=optional)
        if isinstance(default, str) or words:
            choices = tuple(dict.fromkeys([*([default] if isinstance(default, str) else []), *words]))
            return replace(made, role=Role.CHOICE, choices=choices)
        if isinstance(default, bool) or (self.use.flag and not self._has_shape() and not optional):
            return replace(made, role=Role.CHOICE, choices=(default if isinstance(default, bool) else True,))
        if isinstance(default, ast.expr):
            return replace(made, role=Role.KEPT)
        if self.use.is_dict:
            return replace(made, role=Role.DICT, entries=tuple(self._entries()))
        if self.type is not None and self.type.kind is Kind.OTHER and not self._has_shape():
            return replace(made, role=Role.KEPT)
        if default is None and not self._has_shape() and not self.use.least and self.use.rank is None:
            if self.use.label:
                return replace(made, role=Role.LABELS, shape=self._shape(None)[0], bound=Dim.symbol(f"{self.name}:"))
            return replace(made, role=Role.KEPT)
        if self._is_integer(default):
            numbers = _numbers(self.name)
            if isinstance(default, int) and 0 < default <= 4:  # what it is by default does best
                numbers = (default, *(one for one in numbers if one != default))
            return replace(made, role=Role.INTEGER, shape=SCALAR, choices=numbers)
        shape, certain = self._shape(default)
        if self._is_labels():
            return replace(made, role=Role.LABELS, shape=shape, certain=certain, bound=Dim.symbol(f"{self.name}:"))
        domain = self._domain()
        if domain is Domain.SPREAD and shape.rank != 2:
            domain = Domain.ANY
        order = 1 if _FILTERS.fullmatch(self.name) and shape.least_rank > 2 else 0
        return replace(made, shape=shape, certain=certain, domain=domain, order=order)

    # Roles

    def _claimed(self) -> Sequence[Claim]:
        return self.claims.get(self.name, ())

    def _has_shape(self) -> bool:
        if any(claim.shape is not None and not claim.shape.is_scalar for claim in self._claimed()):
            return True
        return self.type is not None and self.type.shape.least_rank > 0

    def _dtypes(self) -> set[DType]:
        found = {claim.dtype for claim in self._claimed() if claim.dtype is not None}
        if self.type is not None:
            found.add(self.type.dtype)
        return found

    def _is_integer(self, default: Constant | _Absent | ast.expr) -> bool:
        shapeless = not self._has_shape() and not self.use.least and not self.use.rank
        if not shapeless:
            return False
        if self.use.label:
            return self.use.integer or (isinstance(default, int) and not isinstance(default, bool))
        if DType.INT in self._dtypes() or self.use.integer:
            return True
        if isinstance(default, int) and not isinstance(default, bool):
            return _COUNT.fullmatch(self.name) is not None
        return isinstance(default, _Absent) and _COUNT.fullmatch(self.name) is not None and self._unused()

    def _unused(self) -> bool:
        """Nothing at all is known of it but its name."""
        return self.use.likely is None and self.type is None

    def _is_scalar(self) -> bool:
        return self.type is not None and self.type.kind is Kind.SCALAR

    def _is_labels(self) -> bool:
        if DType.INT in self._dtypes() or self.use.label:
            return True
        return self.type is None and _LABELS.fullmatch(self.name) is not None and not self.use.likely

    def _line(self) -> str:
        """What the docstring says of the parameter: the lines that begin with its name, or name it first of all."""
        name = re.escape(self.name.rpartition(".")[2])
        pattern = (
            rf"^[ \t]*[-*]?[ \t]*(?:[\w, ]+,[ \t]*)?`?{name}`?[ \t]*(?:,[\w ,]+)?[:(]([^\n]*(?:\n[ \t]+[^-\n:]*$)?)"
        )
        found = re.search(pattern, self.document, re.MULTILINE)
        return found.group(0).lower() if found else ""

    def _domain(self) -> Domain:
        name, line = self.name.rpartition(".")[2], self._line()
        if "covariance" in line or "positive definite" in line or self.use.spread:
            return Domain.SPREAD
        if re.search(r"-1 (and|or|/) \+?1|\+1 (and|or|/) -1|±1|\{-1, *\+?1\}", line) or _signs(self.document, name):
            return Domain.SIGNS
        if re.search(r"\b0 (and|or|/) 1\b|\{0, *1\}", line) or "mask" in name:
            return Domain.BITS
        if _SMALL.fullmatch(name):
            return Domain.SMALL
        if _UNIT.fullmatch(name) and self._may_be_number():
            return Domain.UNIT
        if re.search(r"\bdistribution\b|\bprobabilit", line) and not re.search(r"\blog\b|log_", line + name):
            return Domain.SIMPLEX
        if self.use.positive or _POSITIVE.fullmatch(name):
            return Domain.POSITIVE
        return Domain.ANY

    def _may_be_number(self) -> bool:
        return not self._has_shape() and not self.use.least

    # Shapes

    def _shape(self, default: Constant | _Absent | ast.expr) -> tuple[Shape, bool]:
        """The shape, and whether it is said or proven."""
        if self.type is not None and self.type.kind is Kind.SCALAR:
            return SCALAR, True
        if isinstance(default, int | float) and not isinstance(default, bool):
            return SCALAR, True
        known = self.type.shape if self.type is not None and self.type.kind is not Kind.DICT else None
        if known is not None and known.middle is None:
            return known, True
        for claim in self._claimed():
            if claim.shape is not None and claim.shape.middle is None:
                return claim.shape, True
            if claim.kind == "scalar":
                return SCALAR, True
        if known is None or known.least_rank == 0:
            mentioned = mentioned_shape(self.document, self.name.rpartition(".")[2])
            if mentioned is not None and len(mentioned.front) >= self.use.least:
                return mentioned, False
            known = next((claim.shape for claim in self._claimed() if claim.shape is not None), known)
        rank, certain = self._rank(known)
        if known is not None and known.least_rank:
            # Some dims in the middle are not known: as many as make up the rank.
            return _filled(known, max(rank - known.least_rank, 0), self.name), False
        dims = [Dim.symbol(self.use.dims.get(k) or f"{self.name}.{k}") for k in range(rank)]
        if self.use.square and rank == 2:
            dims[1] = dims[0]
        return Shape(tuple(dims)), certain

    def _rank(self, known: Shape | None) -> tuple[int, bool]:
        if self.use.rank is not None:
            return self.use.rank, True
        least = max(self.use.least, max(self.use.dims, default=-1) + 1, known.least_rank if known is not None else 0)
        return max(self._likely_rank(least), least), False

    def _likely_rank(self, least: int) -> int:
        name = self.name.rpartition(".")[2]
        if self._is_labels():
            return 1
        if self.numeric or _NUMBER.fullmatch(name):
            return 0
        if _BIAS.fullmatch(name):
            return 1
        if self.use.likely is not None:
            return self.use.likely if _MATRIX.fullmatch(name) or self.use.likely != 2 else 2
        if _MATRIX.fullmatch(name):
            return 2
        return least or (1 if name in ("y", "t", "target", "targets", "v", "u", "mask") else 0)

    # Dicts

    def _entries(self) -> Iterator[Parameter]:
        keys = dict(self.use.keys)
        for prefix, use in self.use.prefixes.items():
            for number in (1, 2, 3):
                keys.setdefault(f"{prefix}{number}", use)
        order = sorted(keys, key=_layer) if self.use.prefixes else list(keys)
        for key in order:
            spelled = f"{self.name}[{key!r}]"
            claims = {str(key): self.claims.get(spelled, self.claims.get(f"{self.name}[{key}]", ()))}
            reader = _Reader(str(key), keys[key], claims, self.entries.get(str(key)), {}, self.document)
            made = reader.parameter(_ABSENT)
            if made.shape.rank is not None and not made.certain:
                made = replace(made, shape=_renamed(made.shape, str(key), spelled))
            if key in self.use.optional:
                made = replace(made, optional=True)
            yield made


def _layer(key: str | int) -> tuple[int, str]:
    digits = re.search(r"\d+$", str(key))
    return (int(digits.group()) if digits else 0, str(key))


def _renamed(shape: Shape, name: str, spelled: str) -> Shape:
    """Nameless dims of an entry named for the dict as well: two dicts may have the same keys."""
    known = {f"{name}.{k}": Dim.symbol(f"{spelled}.{k}") for k in range(len(shape.front))}
    return Shape(tuple(dim.substitute(known) for dim in shape.front))


def _filled(shape: Shape, extra: int, name: str) -> Shape:
    # The stars of `(*x,)` say that two arrays are alike: they share the dims that are put in.
    middle = shape.middle or name
    return Shape((*shape.front, *(Dim.symbol(f"{middle}.{k}") for k in range(extra)), *shape.back))


def _signs(document: str, name: str) -> bool:
    """`labels -1 and 1` somewhere in a docstring, where labels are usually called y."""
    said = re.search(r"labels?[^.\n]{0,20}-1 (?:and|or) \+?1", document)
    return said is not None and name in ("y", "labels", "targets", "t")


def _numbers(name: str) -> tuple[int, ...]:
    """The numbers to choose from for an integer, the safest one first."""
    low = name.lower().rpartition(".")[2]
    if "pad" in low:
        return (0, 1)
    if low == "seed":
        return (3, 5)
    if "stride" in low or "dilation" in low or "group" in low or "head" in low or low == "g":
        return (1, 2)
    if low == "axis":
        return (0, 1)
    return (2, 1, 3)


# Methods


def _method(
    module: Module, own: Module, owner: ast.ClassDef, node: ast.FunctionDef, known: _Known, options: Options
) -> Iterator[Parameter]:
    from flatgrad.frontend.methods import MARK

    lineage = _lineage(own, owner)
    methods: dict[str, ast.FunctionDef] = {}
    for one in reversed(lineage):
        methods |= {part.name: part for part in one.body if isinstance(part, ast.FunctionDef)}
    receiver = node.args.args[0].arg if node.args.args else ""
    uses = read_uses(node, module.functions, receiver, methods)
    constructor = methods.get("__init__")
    document = documents(owner, constructor)
    claims = _claims(own, node, options)
    yield from _described(own, node, uses, claims, known, receiver, around=document)
    if constructor is not None:
        yield from _constructor(module, own, constructor, methods, uses, options, document)
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
        reader = _Reader(name, use, {}, type_, known.entries.get(f"self{MARK}{bare}", {}), document)
        yield replace(reader.parameter(_ABSENT), where=Where.ATTRIBUTE)


def _constructor(
    module: Module,
    own: Module,
    constructor: ast.FunctionDef,
    methods: Mapping[str, ast.FunctionDef],
    forward_uses: Mapping[str, Use],
    options: Options,
    document: str,
) -> Iterator[Parameter]:
    receiver = constructor.args.args[0].arg if constructor.args.args else ""
    uses = read_uses(constructor, module.functions, receiver, methods)
    # What is kept as an attribute is used as forward uses that.
    for target, value in _pairs_assigned(constructor):
        match target, value:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute), ast.Name(id=parameter) if name == receiver:
                if parameter in uses and f"self.{attribute}" in forward_uses:
                    uses[parameter].absorb(forward_uses[f"self.{attribute}"])
    claims = _claims(own, constructor, options)
    for made in _described(own, constructor, uses, claims, _Known({}, {}), receiver, False, document):
        number = None
        if made.role is Role.INTEGER and _numbers(made.name) == (2, 1, 3) and not _WINDOW.fullmatch(made.name):
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
