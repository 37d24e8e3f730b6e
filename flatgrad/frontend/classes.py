"""Classes: which methods are compiled, and what the class says of the attributes that they read."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.claims import Claim, parameter_claims
from flatgrad.frontend.class_claims import class_claims
from flatgrad.frontend.contracts import classes_held, is_layer_class, lineage, stored_in, takes_nothing
from flatgrad.frontend.liveness import read_before_bound
from flatgrad.frontend.methods import FORWARD, MARK, VALUES, Method, Role, bare, spoken
from flatgrad.frontend.source import Module, dotted_path, read_module, span_of
from flatgrad.gates.entry import BY_PATH

# Functions that fill an array with the shape that is their first argument, or every argument.
_FILLED = frozenset({"zeros", "ones", "empty", "full", "standard_normal", "random_sample", "random"})
_DRAWN = frozenset({"randn", "rand"})


def with_methods(module: Module, names: tuple[str, ...]) -> Module:
    """The module with the methods among its functions that are to be compiled: those of `names` (`Linear`,
    `Net.loss`), else the forward method of each class that has no backward one."""
    if not any(isinstance(statement, ast.ClassDef) for statement in module.tree.body):
        return module
    marked = _marked(module)
    if marked is not module.text:
        found = read_module(marked, module.filename)
        module = replace(module, text=found.text, lines=found.lines, tree=found.tree, comments=found.comments)
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    wanted = _wanted(classes, names)
    methods: dict[str, Method] = {}
    while wanted:
        key, (owner, node) = wanted.popitem()
        methods[key] = made = _Reader(module, classes, owner).method(key, node)
        own = own_methods(owner)
        wanted |= {one: (owner, own[bare(name)]) for name, one in made.steps.items() if one not in methods}
    if not methods:
        return module
    functions = {**module.functions, **{key: method.node for key, method in methods.items()}}
    ordered = dict(sorted(functions.items(), key=lambda item: item[1].lineno))
    known = replace(module.names, functions=MappingProxyType(ordered))
    return replace(module, names=known, methods=MappingProxyType(methods))


def _wanted(
    classes: Mapping[str, ast.ClassDef], names: tuple[str, ...]
) -> dict[str, tuple[ast.ClassDef, ast.FunctionDef]]:
    """The methods that are compiled, by class and name; those that nobody asks for as well, for others to call."""
    found: dict[str, tuple[ast.ClassDef, ast.FunctionDef]] = {}
    for owner in classes.values():
        own = own_methods(owner)
        forward = next((name for name in FORWARD if name in own), None)
        # One that takes no gradient is looked at as well: what it returns must fit what forward does.
        if forward is not None and (owner.name in names or "backward" not in own or takes_nothing(own["backward"])):
            found[f"{owner.name}.{forward}"] = (owner, own[forward])
        for name in names:
            class_name, _, method = name.partition(".")
            if class_name == owner.name and method in own:
                found[name] = (owner, own[method])
    return found


def own_methods(owner: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    """The methods that a class defines itself; of two with one name the later."""
    return {one.name: one for one in owner.body if isinstance(one, ast.FunctionDef)}


def receiver_of(method: ast.FunctionDef) -> str:
    """What a method calls its object; '' for a static one, a class method and one without parameters."""
    if any(_decorator(one) in ("staticmethod", "classmethod") for one in method.decorator_list):
        return ""
    arguments = [*method.args.posonlyargs, *method.args.args]
    return arguments[0].arg if arguments else ""


def _decorator(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return _decorator(function)
    return ""


def _marked(module: Module) -> str:
    """The text of the module with `self.W` as one name, in as many characters."""
    if MARK in module.text:
        raise Refused([Diagnostic("FG030", f"the letter {MARK} in a source is not understood", None)])
    lines = [list(line) for line in module.lines]
    changed = False
    for owner in (one for one in module.tree.body if isinstance(one, ast.ClassDef)):
        for method in own_methods(owner).values():
            receiver = receiver_of(method)
            for node in ast.walk(method) if receiver else ():
                match node:
                    case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == receiver:
                        begin = span_of(module, node.value)
                        end = begin.column + len(name)
                        text = module.lines[begin.line - 1]
                        if text[begin.column : end + 1 + len(attribute)] == f"{name}.{attribute}":
                            lines[begin.line - 1][end] = MARK
                            changed = True
                    case ast.For(iter=over):
                        for called in _values_of(over, receiver, node):
                            span = span_of(module, called)
                            text = module.lines[span.line - 1][: span.end_column]
                            if span.line == span.end_line and text.endswith(".values()"):
                                lines[span.line - 1][span.end_column - len(VALUES) : span.end_column] = VALUES
    return "\n".join("".join(line) for line in lines) if changed else module.text


def _values_of(over: ast.expr, receiver: str, loop: ast.For) -> Iterator[ast.Call]:
    """`self.layers.values()` in the head of a loop that calls what it runs over."""
    match over:
        case ast.Call(func=ast.Name(id="enumerate" | "list" | "zip"), args=parts):
            for part in parts:
                yield from _values_of(part, receiver, loop)
        case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=name)), attr="values"), args=[]):
            targets = {part.id for part in ast.walk(loop.target) if isinstance(part, ast.Name)}
            called = {root for part in ast.walk(loop) if (root := _called_layer(part)) is not None}
            if name == receiver and targets & called:
                yield over


def _called_layer(node: ast.AST) -> str | None:
    """The name that is called as a layer: `layer.forward(x)`, `layer(x)`."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="forward" | "__call__")):
            return name
        case ast.Call(func=ast.Name(id=name)):
            return name
    return None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one class of a module whose attributes are marked."""

    module: Module
    classes: Mapping[str, ast.ClassDef]
    owner: ast.ClassDef

    def method(self, key: str, original: ast.FunctionDef) -> Method:
        receiver = receiver_of(original)
        family = self._lineage(self.owner)
        defined: dict[str, ast.FunctionDef] = {}
        for one in reversed(family):
            defined |= own_methods(one)
        replaced = {original.name, "backward", f"{original.name}_backward"} - (
            {"backward"} if original.name not in FORWARD else set()
        )
        others = [node for name, node in defined.items() if name not in replaced]
        helpers, problems = self._helpers(original, defined, receiver, others)
        reads = self._reads(original, helpers)
        sources = self._sources(others)
        stored = _stored(original.body)
        attributes = {
            name: Role.STATE if name in stored else self._role(name, sources.get(bare(name), []), family)
            for name in reads
        }
        everything = (*others, original, *self._inheriting())
        layers = self._layers(reads, everything)
        attributes |= {name: Role.LAYERS for name in layers if attributes[name] is Role.GIVEN}
        problems += self._problems(original, receiver, attributes, defined, family)
        made = [node for node in others if node.name == "__init__"]
        elsewhere = frozenset(name for node in others for name in _loads(node))
        return Method(
            key=key,
            owner=self.owner,
            original=original,
            node=self._function(key, original, receiver, attributes, sources),
            receiver=receiver,
            attributes=MappingProxyType(attributes),
            helpers=MappingProxyType(helpers),
            taken=frozenset(
                {*defined, *_class_names(family), *(bare(name) for name in _used(others) | stored | set(reads))}
            ),
            read_elsewhere=elsewhere,
            claims=tuple((node, _handed(node)) for node in made),
            distinct=self._distinct(reads, everything),
            problems=tuple(problems),
            is_entry=original.name in FORWARD and "backward" not in own_methods(self.owner),
            layers=MappingProxyType(layers),
            steps=MappingProxyType(self._steps(helpers)),
        )

    # What the class is made of

    def _lineage(self, owner: ast.ClassDef) -> list[ast.ClassDef]:
        """The class and its bases in the same file, in the order in which a method is looked for."""
        return lineage(owner, self.classes)[0]

    def _inheriting(self) -> list[ast.FunctionDef]:
        """The methods of the classes of the file that inherit from this one: they assign its attributes, too."""
        heirs = [one for one in self.classes.values() if one is not self.owner and self.owner in self._lineage(one)]
        return [method for one in heirs for method in own_methods(one).values()]

    def _helpers(
        self,
        original: ast.FunctionDef,
        defined: Mapping[str, ast.FunctionDef],
        receiver: str,
        others: Sequence[ast.FunctionDef],
    ) -> tuple[dict[str, ast.FunctionDef], list[Diagnostic]]:
        """The methods that a method calls, and those that they call, as functions of their own parameters."""
        if not receiver:
            return {}, []
        assigned = {bare(name) for node in (original, *others) for name in _stored(node.body)}
        found: dict[str, ast.FunctionDef] = {}
        problems: list[Diagnostic] = []
        pending: list[ast.FunctionDef] = [original]
        while pending:
            for part in ast.walk(pending.pop()):
                if not isinstance(part, ast.Name) or not part.id.startswith(receiver + MARK) or part.id in found:
                    continue
                name = bare(part.id)
                method = defined.get(name)
                if method is None or name in assigned:
                    continue  # an attribute: of two things with one name an object has the one that it was given
                problem = self._overridden(name, part) or _unlike(self.module, method, receiver, part)
                if problem is not None:
                    problems.append(problem)
                helper = copy.copy(method)
                helper.decorator_list = []
                if receiver_of(method):
                    helper.args = copy.copy(method.args)
                    helper.args.args = method.args.args[1:] if not method.args.posonlyargs else method.args.args
                    helper.args.posonlyargs = method.args.posonlyargs[1:]
                found[part.id] = helper
                pending.append(method)
        steps = self._steps(found)
        kept = {name for helper in found.values() for name in _stored(helper.body)}
        read = _loads(original) | {name for helper in found.values() for name in _loads(helper)}
        for name, helper in found.items():
            for part in ast.walk(helper):
                elsewhere = read if name not in steps else read - (_loads(helper) - _loads(original))
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part.id in kept & elsewhere:
                    problems.append(
                        self._refused(
                            part,
                            f"{spoken(name)} assigns {spoken(part.id)}, which is read in this pass",
                            "hand it back instead, and assign it where the method is called",
                        )
                    )
        return found, problems

    def _steps(self, helpers: Mapping[str, ast.FunctionDef]) -> dict[str, str]:
        """Of the methods that a method calls those that are not written out in its place, by their marked names."""
        own = own_methods(self.owner)
        return {
            name: f"{self.owner.name}.{bare(name)}"
            for name, helper in helpers.items()
            if bare(name) in own and receiver_of(own[bare(name)]) and not _is_straight(helper.body)
        }

    def _overridden(self, name: str, place: ast.AST) -> Diagnostic | None:
        """A class of the file that puts another method in the place of one that is written out here."""
        for other in self.classes.values():
            if other is not self.owner and self.owner in self._lineage(other) and name in own_methods(other):
                return self._refused(
                    place,
                    f"{name} is another method in {other.name}, which inherits this one",
                    f"define the calling method in {other.name} as well, or pass what differs as an argument",
                )
        return None

    def _reads(self, original: ast.FunctionDef, helpers: Mapping[str, ast.FunctionDef]) -> list[str]:
        """The attributes that may be read before the method assigns them, in the order of the text."""
        inner = {name for helper in helpers.values() for name in _names(helper)}
        exposed = (set(read_before_bound(original.body)) | inner) - set(helpers)
        places = [part for node in (original, *helpers.values()) for part in ast.walk(node)]
        names = sorted(
            (part for part in places if isinstance(part, ast.Name) and MARK in part.id),
            key=lambda part: (part.lineno, part.col_offset),
        )
        return list(dict.fromkeys(part.id for part in names if part.id in exposed))

    def _sources(self, others: Iterable[ast.FunctionDef]) -> dict[str, list[tuple[ast.FunctionDef, ast.expr, ast.AST]]]:
        """For each attribute what the methods assign to it; those of `__init__` first."""
        found: dict[str, list[tuple[ast.FunctionDef, ast.expr, ast.AST]]] = {}
        for method in sorted(others, key=lambda one: one.name != "__init__"):
            for target, value in _assignments(method):
                if isinstance(target, ast.Name) and MARK in target.id:
                    found.setdefault(bare(target.id), []).append((method, value, target))
        return found

    # What an attribute is

    def _layers(self, names: Iterable[str], methods: Sequence[ast.FunctionDef]) -> dict[str, frozenset[str]]:
        """The classes of the file whose objects attributes hold, where that is known."""
        stored = [(bare(name), one, value) for one in methods for name, value in stored_in(one) if MARK in name]
        layers = {name: owner for name, owner in self.classes.items() if is_layer_class(owner, self.classes)}
        found = {
            name: classes_held([(one, value) for other, one, value in stored if other == bare(name)], layers)
            for name in names
        }
        return {name: classes for name, classes in found.items() if classes}

    def _role(
        self, name: str, sources: Sequence[tuple[ast.FunctionDef, ast.expr, ast.AST]], lineage: Sequence[ast.ClassDef]
    ) -> Role:
        roles = [self._role_of(method, value) for method, value, _ in sources]
        known = [role for role in roles if role is not None]
        if known:
            return known[0]
        if not roles and bare(name) in _class_names(lineage):
            return Role.SETTING
        return Role.GIVEN

    def _role_of(self, method: ast.FunctionDef, value: ast.expr) -> Role | None:
        """What one assignment makes of an attribute; None where it says nothing: `self.W = None`."""
        match value:
            case ast.Constant(value=None):
                return None
            case ast.Constant() | ast.UnaryOp(operand=ast.Constant()) | ast.JoinedStr() | ast.Tuple() | ast.Compare():
                return Role.SETTING
            case ast.Name(id=name) if name in _parameters(method):
                default = _defaults(method).get(name)
                if isinstance(default, ast.Constant) and default.value is None:
                    return Role.GIVEN
                scalar = _annotated_as_setting(_parameters(method)[name])
                return Role.SETTING if default is not None or scalar else Role.GIVEN
            case ast.List(elts=elements) if elements and all(self._is_object(one) for one in elements):
                return Role.LAYERS
            case ast.Call() if self._is_object(value):
                return Role.LAYERS
            case ast.BinOp(left=left, right=right):
                roles = [self._role_of(method, part) for part in (left, right)]
                if isinstance(value.op, ast.FloorDiv | ast.Mod):
                    return Role.SETTING
                if Role.WEIGHT in roles:
                    return Role.WEIGHT
                return Role.GIVEN if Role.GIVEN in roles else Role.SETTING
            case ast.Call(func=function):
                path = dotted_path(self.module, function, frozenset(_parameters(method)))
                if path is not None and path.startswith("builtins."):
                    return Role.SETTING if path in _NUMBERS else Role.GIVEN
                if path is not None and (path.startswith("math.") or path in _OF_NUMBERS):
                    return Role.SETTING
                return Role.WEIGHT
        return Role.GIVEN

    def _is_object(self, node: ast.expr) -> bool:
        """Whether an expression makes an object of a class: `Linear(3, 4)`, `nn.Tanh()`."""
        match node:
            case ast.Call(func=ast.Name(id=name)):
                return name in self.classes or (name[:1].isupper() and name not in self.module.functions)
            case ast.Call(func=ast.Attribute(attr=name) as function):
                path = dotted_path(self.module, function, frozenset())
                return name[:1].isupper() and path not in BY_PATH and not (path or "").startswith("numpy.")
        return False

    def _distinct(self, names: Iterable[str], methods: Sequence[ast.FunctionDef]) -> frozenset[str]:
        """Attributes whose layers are made where they are assigned: nothing else has them."""
        stored = [(bare(name), value) for one in methods for name, value in stored_in(one) if MARK in name]
        values = {name: [value for other, value in stored if other == bare(name)] for name in names}
        return frozenset(name for name, found in values.items() if found and all(map(self._is_fresh, found)))

    def _is_fresh(self, node: ast.expr) -> bool:
        match node:
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts):
                return all(map(self._is_fresh, parts))
            case ast.ListComp(elt=part) | ast.DictComp(value=part):
                return self._is_fresh(part)
            case ast.Constant(value=None):
                return True
        return self._is_object(node)

    # The function that is made of the method

    def _function(
        self,
        key: str,
        original: ast.FunctionDef,
        receiver: str,
        attributes: Mapping[str, Role],
        sources: Mapping[str, Sequence[tuple[ast.FunctionDef, ast.expr, ast.AST]]],
    ) -> ast.FunctionDef:
        node = copy.copy(original)
        node.name = key
        node.decorator_list = []
        node.args = copy.copy(original.args)
        if receiver:
            if node.args.posonlyargs:
                node.args.posonlyargs = node.args.posonlyargs[1:]
            else:
                node.args.args = node.args.args[1:]
        added = [self._parameter(name, sources.get(bare(name), [])) for name in attributes]
        node.args.kwonlyargs = [*node.args.kwonlyargs, *added]
        node.args.kw_defaults = [*node.args.kw_defaults, *(None for _ in added)]
        return node

    def _parameter(self, name: str, sources: Sequence[tuple[ast.FunctionDef, ast.expr, ast.AST]]) -> ast.arg:
        """An attribute as a parameter: it stands where `__init__` assigns it, with what is said there."""
        for method, value, target in sources:
            shape = self._shape(method, value)
            annotation = None if shape is None else ast.copy_location(ast.Constant(shape), value)
            return ast.copy_location(ast.arg(name, annotation), target)
        place = ast.arg(name, None)
        place.lineno = place.end_lineno = self.owner.lineno
        place.col_offset, place.end_col_offset = self.owner.col_offset, self.owner.col_offset
        return place

    def _shape(self, method: ast.FunctionDef, value: ast.expr) -> str | None:
        """The shape of what `__init__` makes: `0.01 * np.random.randn(D, H)` is `D H`."""
        match value:
            case ast.BinOp(op=ast.Mult() | ast.Div(), left=left, right=right):
                shapes = [self._shape(method, part) for part in (left, right)]
                made = [shape for shape in shapes if shape is not None]
                others = [part for part, shape in zip((left, right), shapes, strict=True) if shape is None]
                return made[0] if len(made) == 1 and all(self._is_scalar(method, part) for part in others) else None
            case ast.Call(func=ast.Attribute(attr="astype", value=inner)):
                return self._shape(method, inner)
            case ast.Call(func=ast.Attribute(attr=name) as function, args=args, keywords=keywords):
                path = dotted_path(self.module, function, frozenset(_parameters(method))) or ""
                if path and not path.startswith("numpy."):
                    return None
                sizes = [one.value for one in keywords if one.arg in ("size", "shape")]
                if name in _DRAWN and args and not keywords and all(not isinstance(a, ast.Starred) for a in args):
                    return self._dims(method, args)
                if name in _FILLED and args:
                    sizes = [args[0]]
                elif name in ("normal", "uniform") and len(args) == 3:
                    sizes = [args[2]]
                match sizes:
                    case [ast.Tuple(elts=elements)]:
                        return self._dims(method, elements)
                    case [ast.Name() | ast.Constant() as one]:
                        return self._dims(method, [one])
        return None

    def _dims(self, method: ast.FunctionDef, nodes: Sequence[ast.expr]) -> str | None:
        dims: list[str] = []
        whole = {name for name, arg in _parameters(method).items() if not _is_sequence(arg)}
        again = {t.id for t, _ in _assignments(method) if isinstance(t, ast.Name)}
        for node in nodes:
            match node:
                case ast.Constant(value=int() as number) if not isinstance(number, bool):
                    dims.append(str(number))
                case ast.Name(id=name) if name in whole - again:
                    dims.append(name)
                case _:
                    return None
        return " ".join(dims) if dims and any(not dim.isdigit() for dim in dims) else None

    def _is_scalar(self, method: ast.FunctionDef, node: ast.expr) -> bool:
        """Whether a factor is a number: a constant, or what scales a weight."""
        match node:
            case ast.Constant():
                return True
            case ast.Name(id=name):
                return name in _parameters(method)
            case ast.BinOp(left=left, right=right):
                return self._is_scalar(method, left) and self._is_scalar(method, right)
            case ast.Call(func=ast.Attribute(attr="sqrt"), args=[inner]):
                return self._is_scalar(method, inner)
        return False

    # What cannot be followed

    def _problems(
        self,
        original: ast.FunctionDef,
        receiver: str,
        attributes: Mapping[str, Role],
        defined: Mapping[str, ast.FunctionDef],
        lineage: Sequence[ast.ClassDef],
    ) -> Iterator[Diagnostic]:
        kinds = [_decorator(one) for one in original.decorator_list if _decorator(one) != "staticmethod"]
        if kinds:
            yield self._refused(original.decorator_list[0], f"a method with @{kinds[0]} is not understood", "")
        for owner in lineage:
            for statement in owner.body:
                for name in _targets(statement):
                    if name == "__slots__":
                        help = "leave __slots__ out: forward keeps what backward needs on the object"
                        yield self._refused(statement, "a class with __slots__ is not understood", help)
        for name in ("__getattr__", "__getattribute__", "__setattr__"):
            if name in defined:
                help = "read the attributes plainly"
                yield self._refused(defined[name], f"a class with {name} is not understood", help)
        if not receiver:
            return
        for part in ast.walk(original):
            match part:
                case ast.Attribute(value=ast.Name(id=name)) if name == receiver:
                    yield self._refused(part, "this attribute is not understood where it stands", "name it first")
                case ast.Name(id=name, ctx=ast.Store()) if name == receiver:
                    yield self._refused(part, f"{receiver} is bound again", "take another name")

    def _refused(self, place: ast.AST, message: str, help: str) -> Diagnostic:
        span = span_of(self.module, place)
        if span.end_line > span.line:
            span = replace(span, end_line=span.line, end_column=len(self.module.lines[span.line - 1].rstrip()))
        return Diagnostic("FG045", message, span, "", help)


_NUMBERS = frozenset(f"builtins.{name}" for name in ("int", "float", "bool", "str", "len", "round", "tuple"))
# What `__init__` makes of its sizes.
_OF_NUMBERS = frozenset(f"numpy.{name}" for name in ("sqrt", "log", "exp", "floor", "ceil", "prod", "square", "power"))


def _unlike(module: Module, method: ast.FunctionDef, receiver: str, place: ast.AST) -> Diagnostic | None:
    """A method that is no plain one, or that calls its object something else."""
    kinds = [_decorator(one) for one in method.decorator_list]
    other = receiver_of(method)
    problem = ""
    if any(kind != "staticmethod" for kind in kinds):
        problem = f"{method.name} is decorated with @{next(k for k in kinds if k != 'staticmethod')}"
    elif other not in (receiver, ""):
        problem = f"{method.name} calls its object {other}, and not {receiver}"
    if not problem:
        return None
    return Diagnostic("FG045", problem, span_of(module, place), "", "write it as a plain method")


def _parameters(method: ast.FunctionDef) -> dict[str, ast.arg]:
    arguments = method.args
    return {one.arg: one for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}


def _defaults(method: ast.FunctionDef) -> dict[str, ast.expr]:
    arguments = method.args
    positional = [*arguments.posonlyargs, *arguments.args]
    late = positional[len(positional) - len(arguments.defaults) :]
    found = {one.arg: default for one, default in zip(late, arguments.defaults, strict=True)}
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return found | {one.arg: default for one, default in pairs if default is not None}


def _annotated_as_setting(argument: ast.arg) -> bool:
    match argument.annotation:
        case ast.Name(id="int" | "float" | "bool" | "str" | "tuple"):
            return True
    return False


def _is_sequence(argument: ast.arg) -> bool:
    text = "" if argument.annotation is None else ast.unparse(argument.annotation)
    return argument.arg in ("shape", "size", "dims") or text.lower().startswith(("tuple", "list", "sequence"))


def _assignments(method: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each target with the value that it is given, those of `a, b = c, d` one by one."""
    for part in ast.walk(method):
        match part:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    parts = target.elts if isinstance(target, ast.Tuple) else [target]
                    given = value.elts if isinstance(value, ast.Tuple) and len(parts) > 1 else []
                    yield from zip(parts, given if len(given) == len(parts) else [value] * len(parts), strict=True)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield target, value


def _handed(method: ast.FunctionDef) -> Mapping[str, str]:
    """The attributes that hold a parameter of `__init__` as it is: `self.W = W`."""
    parameters = _parameters(method)
    found = {
        value.id: target.id
        for target, value in _assignments(method)
        if isinstance(target, ast.Name) and MARK in target.id and isinstance(value, ast.Name) and value.id in parameters
    }
    bound = {target.id for target, _ in _assignments(method) if isinstance(target, ast.Name)}
    return MappingProxyType({name: attribute for name, attribute in found.items() if name not in bound})


def _is_straight(body: Sequence[ast.stmt]) -> bool:
    """Whether a body may be written out in the place of a call: no loop, nothing changed in place."""
    turns = (ast.For, ast.While, ast.AugAssign, ast.With, ast.Try, ast.Delete)
    return not any(isinstance(part, turns) or _changes_part(part) for one in body for part in ast.walk(one))


def _changes_part(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store)


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and MARK in part.id}


def _loads(node: ast.AST) -> frozenset[str]:
    """The attributes that a method reads, or changes in part."""
    parts = [part for part in ast.walk(node) if isinstance(part, ast.Name) and MARK in part.id]
    changed = [part.target for part in ast.walk(node) if isinstance(part, ast.AugAssign)]
    return frozenset(part.id for part in parts if isinstance(part.ctx, ast.Load) or part in changed)


def _stored(body: Sequence[ast.stmt]) -> set[str]:
    """The attributes that statements assign."""
    parts = [part for statement in body for part in ast.walk(statement) if isinstance(part, ast.Name)]
    return {part.id for part in parts if MARK in part.id and not isinstance(part.ctx, ast.Load)}


def _used(others: Iterable[ast.FunctionDef]) -> set[str]:
    """The attributes that methods use for something: `self.x = None` in `__init__` only says that there is one."""
    found: set[str] = set()
    for method in others:
        found |= _names(method)
        if method.name == "__init__":
            stored = [target.id for target, _ in _assignments(method) if isinstance(target, ast.Name)]
            empty = {
                target.id
                for target, value in _assignments(method)
                if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and value.value is None
            }
            found -= {name for name in empty if stored.count(name) == 1 and name not in _loads(method)}
            found |= {name for other in others if other is not method for name in _names(other)}
    return found


def _targets(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _class_names(lineage: Iterable[ast.ClassDef]) -> set[str]:
    """The names that class bodies bind to something else than methods."""
    return {name for owner in lineage for statement in owner.body for name in _targets(statement)}


def method_claims(module: Module, method: Method, shapes: tuple[tuple[str, str], ...]) -> tuple[Claim, ...]:
    """What is said of the parameters of a method and of the attributes that it reads: where `__init__` assigns them,
    of the parameters of `__init__` that they hold, and in the docstring of the class.

    Raises:
        Refused: FG050 and FG051, as for the parameters of a function.
    """
    own = parameter_claims(module, method.node, marked_shapes(shapes))
    known = {claim.name for claim in own}
    found = [
        replace(claim, name=attributes[claim.name])
        for node, attributes in method.claims
        for claim in parameter_claims(module, node)
        if claim.name in attributes and attributes[claim.name] in method.attributes
    ]
    held = (Role.WEIGHT, Role.GIVEN, Role.SETTING)
    names = {bare(name): name for name, role in method.attributes.items() if role in held}
    optional = _defaults(method.node).keys()
    names |= {name: name for name in _parameters(method.node) if MARK not in name and name not in optional}
    constructor = next((node for node, _ in method.claims), None)
    known |= {claim.name for claim in found}
    for claim in class_claims(module, method.owner, constructor, frozenset(names)):
        if names[claim.name] not in known:
            found.append(replace(claim, name=names[claim.name]))
    said = {claim.name for claim in own}
    return (*own, *(claim for claim in found if claim.name not in said))


def marked_shapes(shapes: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """`--shape self.W=N,D` for the name that the attribute has here."""
    return tuple((name.replace(".", MARK), text) for name, text in shapes)
