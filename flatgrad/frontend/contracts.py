"""What the layers of a net are known to be: the classes whose objects an attribute holds, and how their backward passes
are called.

A class that comes with a `backward` of its own is taken at its word: which gradients it takes and gives is read off its
parameters and its `return`. One that has none gets it from flatgrad, and what that takes and gives is known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.frontend.in_place import is_numpy, is_out
from flatgrad.frontend.methods import FORWARD
from flatgrad.ir.core import Attribute


@dataclass(frozen=True, slots=True)
class Contract:
    """How the layers of a class are called.

    Attributes:
        owner: the class; '' where it is not known.
        parameters: those of its forward method, without the object; `needed`: how many have no default.
        results: how many results forward has; `upstream`: of which of them backward takes the gradients, by position.
        gives: for each thing that backward returns, the parameter whose gradient it is, or ''.
        local: what backward returns is yet to be multiplied by the upstream gradient: it takes none, or never reads it.
        own: the user wrote backward, which takes no None for a gradient of zero; `changes`: it may write into the
            gradient that it is given.
    """

    owner: str
    parameters: tuple[str, ...]
    needed: int
    results: int
    upstream: tuple[int, ...]
    gives: tuple[str, ...]
    local: bool = False
    own: bool = True
    changes: bool = False


@dataclass(frozen=True, slots=True)
class Unclear:
    """Why it cannot be told how the layers of a class are called, and the way out."""

    reason: str
    help: str


# A layer of which nothing is known has `forward(x)` and `backward(dout)`, which gives the gradient of x.
UNKNOWN = Contract("", ("x",), 1, 1, (0,), ("x",))


def lineage(owner: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> tuple[list[ast.ClassDef], bool]:
    """A class and its bases in the same file, in the order in which a method is looked for; and whether these are all
    its bases."""
    found = [owner]
    whole = True
    for one in found:
        for base in one.bases:
            known = classes.get(base.id) if isinstance(base, ast.Name) else None
            if known is None:
                whole = whole and isinstance(base, ast.Name | ast.Attribute) and _last(base) in ("object", "ABC")
            elif known not in found:
                found.append(known)
    return found, whole


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def method_of(name: str, family: Iterable[ast.ClassDef]) -> tuple[ast.ClassDef, ast.FunctionDef] | None:
    """The class of a lineage whose method of a name counts, with the method."""
    for owner in family:
        found = [one for one in owner.body if isinstance(one, ast.FunctionDef) and one.name == name]
        if found:
            return owner, found[-1]
    return None


def is_abstract(method: ast.FunctionDef) -> bool:
    """Whether a method says only that there is to be one."""
    rest = [one for one in method.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    return all(isinstance(one, ast.Raise | ast.Pass) for one in rest)


def takes_nothing(backward: ast.FunctionDef) -> bool:
    """Whether a backward method of the user's takes no upstream gradient, or never reads it."""
    names = _parameters(backward)
    return not is_abstract(backward) and not (names and _reads(backward, names[0])) and backward.args.vararg is None


def _parameters(method: ast.FunctionDef) -> list[str]:
    """The parameters of a method behind the object."""
    return [one.arg for one in (*method.args.posonlyargs, *method.args.args)][1:]


def _reads(method: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(p, ast.Name) and p.id == name and isinstance(p.ctx, ast.Load) for p in ast.walk(method))


def forward_parameters(forward: ast.FunctionDef) -> tuple[tuple[str, ...], int] | None:
    """The parameters of a forward method, and how many have no default; None where they cannot be counted."""
    arguments = forward.args
    if arguments.vararg is not None or arguments.kwarg is not None or arguments.kwonlyargs:
        return None
    names = tuple(_parameters(forward))
    return names, len(names) - len(arguments.defaults)


def _returned(method: ast.FunctionDef) -> list[ast.expr | None]:
    """What a method returns, one for each `return`; None where it returns nothing."""
    return [part.value for part in _own(method) if isinstance(part, ast.Return)]


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a method, without those of functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
            yield from _own(child)


def result_count(forward: ast.FunctionDef) -> int | None:
    """How many results a forward method has; None where its `return`s differ."""
    counts = {len(one.elts) if isinstance(one, ast.Tuple) else 1 for one in _returned(forward)}
    return counts.pop() if len(counts) == 1 else None


def own_contract(owner: str, forward: ast.FunctionDef, backward: ast.FunctionDef) -> Contract | Unclear:
    """The contract of a class whose backward method the user wrote. Whether what is local may be multiplied is for the
    types to say."""
    given = forward_parameters(forward)
    results = result_count(forward)
    if given is None or results is None:
        return Unclear(f"the parameters and results of {owner}.{forward.name} cannot be counted", "write them out")
    names = _parameters(backward)
    needed = len(names) - len(backward.args.defaults)
    local = results == 1 and takes_nothing(backward)
    asked = {one.arg for one, default in zip(backward.args.kwonlyargs, backward.args.kw_defaults, strict=True)
             if default is None}  # fmt: skip
    most = len(names) if backward.args.vararg is None else results
    if asked or needed > results or (most < results and not local):
        return Unclear(
            f"{owner}.backward does not take just the gradient of what {owner}.{forward.name} returns",
            f"let it be `backward(self, {'dout' if results == 1 else 'dout, ...'})`, and set the rest beforehand",
        )
    gives = _given(given[0], given[1], backward)
    if gives is None:
        return Unclear(
            f"which gradients {owner}.backward returns cannot be told",
            f"name them in its `return`, as in `return d{given[0][0] if given[0] else 'x'}`",
        )
    upstream = tuple(range(results)) if needed or not local else ()
    return Contract(owner, *given, results, upstream, gives, local, changes=_writes_into(backward))


# Methods and functions that may change what they are given.
_IN_PLACE = frozenset(
    {"fill", "sort", "put", "resize", "partition", "itemset", "setflags", "copyto", "place", "putmask", "at"}
    | {"fill_diagonal", "put_along_axis", "shuffle"}
)

# Functions of Python that leave what they are given as it is; any other may be one of the user's that does not.
_READERS = frozenset(
    {"len", "isinstance", "type", "range", "float", "int", "print", "zip", "enumerate", "sum", "abs", "max", "min"}
)


def _writes_into(backward: ast.FunctionDef) -> bool:
    """Whether a backward method may write into a gradient that it is given, as far as its text tells."""
    shared = set(_parameters(backward))
    if backward.args.vararg is not None:
        shared.add(backward.args.vararg.arg)
    for _ in range(3):
        for name, value in stored_in(backward):
            made = isinstance(value, ast.BinOp | ast.Compare | ast.UnaryOp | ast.Constant)
            if not made and _copied(value) is None and _names(value) & shared:
                shared.add(name)
    for part in ast.walk(backward):
        match part:
            case ast.AugAssign(target=target) if _names(target) & shared:
                return True
            case ast.Subscript(value=value, ctx=ast.Store()) if _names(value) & shared:
                return True
            case ast.keyword(arg="out", value=value) if _names(value) & shared:
                return True
            case ast.Call(func=ast.Attribute(attr=name, value=value), args=args) if name in _IN_PLACE:
                if any(_names(one) & shared for one in (value, *args)):
                    return True
            case ast.Call(func=function, args=[*_, ast.Name(id=name)] as args) if is_out(function, len(args)):
                if name in shared:
                    return True
            case ast.Call(func=function, args=args) if not is_numpy(function) and _last(function) not in _READERS:
                if any(isinstance(one, ast.Name) and one.id in shared for one in args):
                    return True
    return False


def _copied(node: ast.expr) -> ast.expr | None:
    """What is copied: `dout.copy()`, `np.array(dout)`; what NumPy makes anew of it: `dout.sum(axis=0)`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="copy" | "sum" | "mean" | "dot" | "matmul" | "array" | "zeros_like")):
            return node
    return None


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


# What is no array that a gradient flows to, by its name.
_NO_GRADIENT = re.compile(
    r"(y|t|y_?true|labels?|targets?|truth|ground_?truth|answers?|expected|desired|gold|classes|seed|key|name"
    r"|train(ing)?(_?(flg|flag|mode))?|is_?train(ing)?|mode|eval|test|eval_?mode|mask)",
    re.IGNORECASE,
)


def _given(parameters: tuple[str, ...], needed: int, backward: ast.FunctionDef) -> tuple[str, ...] | None:
    """The parameter of each thing that a backward method returns; None where that cannot be told."""
    returned = [one for one in _returned(backward) if one is not None and not _is_none(one)]
    widths = {len(one.elts) if isinstance(one, ast.Tuple) else 0 for one in returned}
    if not returned:
        return ()
    if len(widths) > 1 or 1 in widths or len(returned) < len(_returned(backward)):
        return None
    columns = list(zip(*(one.elts if isinstance(one, ast.Tuple) else [one] for one in returned), strict=True))
    gives = tuple(_parameter_of(column, parameters) for column in columns)
    known = [one for one in gives if one]
    if known:
        return gives if len(set(known)) == len(known) else None
    likely = [name for name in parameters[:needed] if not _NO_GRADIENT.fullmatch(name)]
    if len(gives) == 1 and (needed == 1 or len(likely) == 1):
        # One gradient is that of the one array.
        return ((likely or list(parameters))[0],)
    return None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _parameter_of(column: Sequence[ast.expr], parameters: tuple[str, ...]) -> str:
    """The parameter that what is returned in one place is called after: `dx`, `d_x`, `dLdA`, `grad_x`, `x_grad`."""
    names = {_last(one).lower() for one in column}
    if len(names) != 1:
        return ""
    (name,) = names
    for parameter in parameters:
        plain = parameter.lower()
        forms = ("d{}", "d_{}", "dld{}", "dl_d{}", "d{}_t", "grad_{}", "{}_grad", "g{}", "delta_{}", "self.d{}")
        if name in {form.format(plain) for form in forms}:
            return parameter
    return ""


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of a layer: how many results it has, and of its backward pass what the contract says, the gradients by
    the positions of the arguments, -1 for one that is none of theirs."""

    results: int
    upstream: tuple[int, ...]
    gives: tuple[int, ...]
    local: bool
    own: bool

    @property
    def attributes(self) -> dict[str, Attribute]:
        """The attributes of the relation, but those that say what is the usual."""
        found: dict[str, Attribute] = {}
        if self.upstream != (0,):
            found["upstream"] = self.upstream
        if self.gives != (0,):
            found["gives"] = self.gives
        return found | {name: True for name, said in (("local", self.local), ("own", self.own)) if said}


def layer_call(contract: Contract, node: ast.Call) -> LayerCall | Unclear:
    """The call of a layer of a class with these arguments."""
    if any(isinstance(one, ast.Starred) for one in node.args) or any(one.arg is None for one in node.keywords):
        return Unclear("what it is given with a star cannot be told", "write the arguments out")
    count = len(node.args)
    named = [str(one.arg) for one in node.keywords]
    if not contract.owner and (count != 1 or named):
        return Unclear(
            "of which class it is cannot be told, and so not which gradients its backward pass gives",
            "give it one argument, or make it in `__init__` of a class of this file",
        )
    places = dict(zip(contract.parameters, range(count), strict=False))
    missing = [one for one in contract.parameters[: contract.needed] if one not in (*places, *named)]
    wrong = [one for one in named if one in places or one not in contract.parameters]
    if missing or wrong or count > len(contract.parameters):
        given = ", ".join(contract.parameters) or "nothing"
        return Unclear(f"{contract.owner} takes {given}", "call it with what it takes")
    places |= {name: count + k for k, name in enumerate(named)}
    gives = tuple(places.get(one, -1) for one in contract.gives)
    own = contract.own and contract.results > 1
    return LayerCall(contract.results, contract.upstream, gives, contract.local, own)


# What an attribute holds


def classes_held(
    sources: Iterable[tuple[ast.FunctionDef, ast.expr]], classes: Mapping[str, ast.ClassDef]
) -> frozenset[str]:
    """The classes of the file whose objects an attribute holds, itself or in a list or a dict; nothing where something
    else may be among them. `sources`: all that is assigned to it, its items, and what is appended to it."""
    found: set[str] = set()
    for method, value in sources:
        one = _held(value, method, classes, 0)
        if one is None:
            return frozenset()
        found |= one
    return frozenset(found)


def _held(
    node: ast.expr, method: ast.FunctionDef, classes: Mapping[str, ast.ClassDef], depth: int
) -> frozenset[str] | None:
    """The classes of the objects that an expression makes; None where it is something else."""

    def every(nodes: Iterable[ast.expr]) -> frozenset[str] | None:
        each = [_held(one, method, classes, depth) for one in nodes]
        return None if None in each else frozenset(name for one in each if one for name in one)

    match node:
        case ast.Call(func=ast.Name(id=name)) if name in classes:
            return frozenset((name,))
        case ast.Call(func=ast.Name(id="OrderedDict" | "list" | "dict"), args=[], keywords=[]):
            return frozenset()
        case ast.Call(func=ast.Attribute(attr="OrderedDict"), args=[], keywords=[]):
            return frozenset()
        case ast.Call(func=ast.Name(id="OrderedDict" | "list" | "tuple" | "dict"), args=[inner], keywords=[]):
            return _held(inner, method, classes, depth)
        case ast.Call(func=ast.Subscript(value=ast.Name(id=name)), keywords=[]) if depth < 4:
            # `{"relu": Relu, "sigmoid": Sigmoid}[name]()`
            tables = [value for target, value in _bindings(method) if target == name]
            if tables and all(isinstance(one, ast.Dict) for one in tables):
                made = [value for one in tables if isinstance(one, ast.Dict) for value in one.values]
                if all(isinstance(one, ast.Name) and one.id in classes for one in made):
                    return frozenset(one.id for one in made if isinstance(one, ast.Name))
            return None
        case ast.Constant(value=None):
            return frozenset()
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return every(
                one.elts[1] if isinstance(one, ast.Tuple) and len(one.elts) == 2 and _is_text(one.elts[0]) else one
                for one in elements
            )
        case ast.Starred(value=inner):
            return _held(inner, method, classes, depth)
        case ast.Dict(values=values):
            return every(values)
        case ast.ListComp(elt=element):
            return _held(element, method, classes, depth)
        case ast.DictComp(value=value):
            return _held(value, method, classes, depth)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return every((left, right))
        case ast.BinOp(op=ast.Mult(), left=left, right=ast.expr()):
            return _held(left, method, classes, depth)
        case ast.IfExp(body=body, orelse=orelse):
            return every((body, orelse))
        case ast.Name(id=name) if depth < 4 and name not in {one.arg for one in ast.walk(method)
                                                             if isinstance(one, ast.arg)}:  # fmt: skip
            given = [value for target, value in _bindings(method) if target == name]
            found: set[str] = set()
            for value in given:
                one = _held(value, method, classes, depth + 1)
                if one is None:
                    return None
                found |= one
            return frozenset(found) if given else None
    return None


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _bindings(method: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """All that a method assigns, appends or gives to what it calls by a name."""
    yield from stored_in(method)


def stored_in(method: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """Each name that a method binds, or whose object it puts something into, with what that is. What is put there in a
    way that is not followed comes as the whole call."""
    for part in ast.walk(method):
        match part:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    match target:
                        case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)):
                            yield name, value
                        case ast.Tuple(elts=elements):
                            values = value.elts if isinstance(value, ast.Tuple) else []
                            paired = values if len(values) == len(elements) else [value] * len(elements)
                            for element, one in zip(elements, paired, strict=True):
                                if isinstance(element, ast.Name):
                                    yield element.id, one
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                yield name, value
            case ast.For(target=target, iter=over):
                for inner in ast.walk(target):
                    if isinstance(inner, ast.Name):
                        yield inner.id, over
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[value], keywords=[]):
                yield name, value
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="extend"), args=[value], keywords=[]):
                yield name, value
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="insert"), args=[_, value], keywords=[]):
                yield name, value
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update" | "setdefault" | "__setitem__")):
                yield name, part


def is_layer_class(owner: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether a class of the file has a forward method."""
    family, _ = lineage(owner, classes)
    return any(method_of(name, family) is not None for name in FORWARD)
