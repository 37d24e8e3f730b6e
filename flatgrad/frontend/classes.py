"""Classes: which methods are compiled, and what the class says of the attributes that they read."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.attribute_roles import Roles, Source, learnt, sources_of
from flatgrad.frontend.attribute_shapes import shape_made
from flatgrad.frontend.claim import Claim
from flatgrad.frontend.claims import parameter_claims
from flatgrad.frontend.class_claims import class_claims
from flatgrad.frontend.class_marks import marked, marked_shapes
from flatgrad.frontend.contracts import is_abstract, lineage, takes_nothing
from flatgrad.frontend.liveness import read_before_bound
from flatgrad.frontend.method_parts import (
    attribute_names,
    bound_by,
    class_names,
    decorator_name,
    defaults_by_name,
    handed_on,
    is_straight,
    loaded,
    own_methods,
    parameters_of,
    receiver_of,
    stored,
    used,
)
from flatgrad.frontend.methods import FORWARD, MARK, Method, Role, bare, spoken
from flatgrad.frontend.source import Module, read_module, span_of


def with_methods(module: Module, names: tuple[str, ...]) -> Module:
    """The module with the methods among its functions that are to be compiled: those of `names` (`Linear`,
    `Net.loss`), else the forward method of each class that has no backward one."""
    if not any(isinstance(statement, ast.ClassDef) for statement in module.tree.body):
        return module
    text = marked(module)
    if text is not module.text:
        found = read_module(text, module.filename)
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
        written = [name for name in FORWARD if name in own and not is_abstract(own[name])]
        # A base class that calls what others are to write gives nothing to differentiate.
        forward = written[0] if written and not ("forward" in own and written[0] != "forward") else None
        # One that takes no gradient is looked at as well: what it returns must fit what forward does.
        if forward is not None and (owner.name in names or "backward" not in own or takes_nothing(own["backward"])):
            found[f"{owner.name}.{forward}"] = (owner, own[forward])
        for name in names:
            class_name, _, method = name.partition(".")
            if class_name == owner.name and method in own:
                found[name] = (owner, own[method])
    return found


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
        sources = sources_of((*others, *_inherited_constructors(family, defined)))
        roles = Roles(self.module, self.classes)
        own = stored(original.body).union(*(stored(helper.body) for helper in helpers.values()))
        attributes = {
            name: Role.STATE if name in own else roles.role(name, sources.get(bare(name), []), family) for name in reads
        }
        everything = (*others, original, *self._inheriting())
        layers = roles.layers(reads, everything)
        attributes |= {name: Role.LAYERS for name in layers if attributes[name] is Role.GIVEN}
        problems += self._problems(original, receiver, attributes, defined, family)
        known = class_names(family) | set(defined)
        for name, role in attributes.items():
            if role is Role.STATE and bare(name) not in sources and bare(name) not in known and receiver:
                parts = (part for one in (original, *helpers.values()) for part in ast.walk(one))
                place = next(part for part in parts if isinstance(part, ast.Name) and part.id == name)
                message = f"nothing may have assigned {spoken(name)} where it is read"
                problems.append(self._refused(place, message, "assign it in __init__, or before the loop"))
        problems += self._shared((original, *helpers.values()), sources)
        made = [node for node in others if node.name == "__init__"]
        elsewhere = frozenset(name for node in others for name in loaded(node))
        return Method(
            key=key,
            owner=self.owner,
            original=original,
            node=self._function(key, original, receiver, attributes, sources),
            receiver=receiver,
            attributes=MappingProxyType(attributes),
            helpers=MappingProxyType(helpers),
            taken=frozenset(
                {*defined, *class_names(family), *(bare(name) for name in used(others) | own | set(reads))}
            ),
            read_elsewhere=elsewhere,
            claims=tuple((node, handed_on(node)) for node in made),
            distinct=roles.distinct(reads, everything),
            problems=tuple(problems),
            is_entry=original.name in FORWARD and "backward" not in own_methods(self.owner),
            layers=MappingProxyType(layers),
            steps=MappingProxyType(self._steps(helpers)),
            learnt=learnt(reads, [node for one in family for node in own_methods(one).values()]),
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
        assigned = {bare(name) for node in (original, *others) for name in stored(node.body)}
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
        kept = {name for helper in found.values() for name in stored(helper.body)}
        read = loaded(original) | {name for helper in found.values() for name in loaded(helper)}
        for name, helper in found.items():
            for part in ast.walk(helper):
                elsewhere = read if name not in steps else read - (loaded(helper) - loaded(original))
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
            if bare(name) in own and receiver_of(own[bare(name)]) and not is_straight(helper.body)
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
        inner = {name for helper in helpers.values() for name in attribute_names(helper)}
        exposed = (set(read_before_bound(original.body)) | inner) - set(helpers)
        places = [part for node in (original, *helpers.values()) for part in ast.walk(node)]
        names = sorted(
            (part for part in places if isinstance(part, ast.Name) and MARK in part.id),
            key=lambda part: (part.lineno, part.col_offset),
        )
        return list(dict.fromkeys(part.id for part in names if part.id in exposed))

    # The function that is made of the method

    def _function(
        self,
        key: str,
        original: ast.FunctionDef,
        receiver: str,
        attributes: Mapping[str, Role],
        sources: Mapping[str, Sequence[Source]],
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
        defaults = {
            name: self._default(sources.get(bare(name), []))
            for name, role in attributes.items()
            if role is not Role.STATE
        }
        added = [self._parameter(name, sources.get(bare(name), [])) for name in attributes]
        node.args.kwonlyargs = [*node.args.kwonlyargs, *added]
        node.args.kw_defaults = [*node.args.kw_defaults, *map(defaults.get, attributes)]
        return node

    def _default(self, sources: Sequence[Source]) -> ast.expr | None:
        """None as the default of an attribute that `__init__` may leave None: `self.b = b`, where b is None unless it
        is given."""
        for method, value, target in sources:
            values = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            known = [defaults_by_name(method).get(one.id) for one in values if isinstance(one, ast.Name)]
            if any(isinstance(one, ast.Constant) and one.value is None for one in (*values, *known)):
                return ast.copy_location(ast.Constant(None), target)
        return None

    def _parameter(self, name: str, sources: Sequence[Source]) -> ast.arg:
        """An attribute as a parameter: it stands where `__init__` assigns it, with what is said there."""
        lists = any(isinstance(value, ast.List | ast.ListComp) for _, value, _ in sources)
        for method, value, target in sources:
            shape = shape_made(self.module, method, value)
            said: ast.expr | None = ast.Name("list", ast.Load()) if lists else None
            if shape is not None:
                said = ast.Constant(shape)
            annotation = None if said is None else ast.copy_location(said, value)
            return ast.copy_location(ast.arg(name, annotation), target)
        place = ast.arg(name, None)
        place.lineno = place.end_lineno = self.owner.lineno
        place.col_offset, place.end_col_offset = self.owner.col_offset, self.owner.col_offset
        return place

    # What cannot be followed

    def _problems(
        self,
        original: ast.FunctionDef,
        receiver: str,
        attributes: Mapping[str, Role],
        defined: Mapping[str, ast.FunctionDef],
        lineage: Sequence[ast.ClassDef],
    ) -> Iterator[Diagnostic]:
        kinds = [decorator_name(one) for one in original.decorator_list if decorator_name(one) != "staticmethod"]
        if kinds:
            yield self._refused(original.decorator_list[0], f"a method with @{kinds[0]} is not understood", "")
        for owner in lineage:
            for statement in owner.body:
                for name in bound_by(statement):
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

    def _shared(
        self, bodies: Sequence[ast.FunctionDef], sources: Mapping[str, Sequence[Source]]
    ) -> Iterator[Diagnostic]:
        """Changes in place of what the object has under two names: `self.V = self.W` in `__init__`."""
        read = {name for one in bodies for name in loaded(one)}
        held = {
            name: {name}.union(*(_held_as_it_is(value) for _, value, _ in sources.get(bare(name), ()))) for name in read
        }
        for part in (part for one in bodies for part in ast.walk(one)):
            match part:
                case ast.AugAssign(target=target):
                    changed: ast.expr = target
                case ast.Subscript(ctx=ast.Store() | ast.Del()):
                    changed = part
                case _:
                    continue
            while isinstance(changed, ast.Subscript | ast.Attribute):
                changed = changed.value
            if not isinstance(changed, ast.Name) or changed.id not in held:
                continue
            others = sorted(one for one in held if one != changed.id and held[one] & held[changed.id])
            if others:
                message = f"this changes {spoken(others[0])} as well: the object has one array under two names"
                yield self._refused(part, message, "give it a copy of its own where it is assigned")

    def _refused(self, place: ast.AST, message: str, help: str) -> Diagnostic:
        span = span_of(self.module, place)
        if span.end_line > span.line:
            span = replace(span, end_line=span.line, end_column=len(self.module.lines[span.line - 1].rstrip()))
        return Diagnostic("FG045", message, span, "", help)


def _held_as_it_is(value: ast.expr) -> set[str]:
    """The names of what a value is, or holds: p of `p`, of `[p, q]`, of `p if given else None`."""
    match value:
        case ast.Name(id=name):
            return {name}
        case ast.IfExp(body=first, orelse=second):
            return _held_as_it_is(first) | _held_as_it_is(second)
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts):
            return {name for one in parts for name in _held_as_it_is(one)}
        case ast.Subscript(value=whole) | ast.Attribute(value=whole):
            return _held_as_it_is(whole)
    return set()


def _inherited_constructors(
    family: Sequence[ast.ClassDef], defined: Mapping[str, ast.FunctionDef]
) -> Iterator[ast.FunctionDef]:
    """The `__init__` of base classes that those of the classes below them call: `super().__init__(W)`."""
    own = defined.get("__init__")
    for owner in family:
        found = own_methods(owner).get("__init__")
        if found is None or found is own:
            continue
        calls = any(isinstance(part, ast.Attribute) and part.attr == "__init__" for part in ast.walk(own or found))
        if not calls:
            return
        yield found
        own = found


def _unlike(module: Module, method: ast.FunctionDef, receiver: str, place: ast.AST) -> Diagnostic | None:
    """A method that is no plain one, or that calls its object something else."""
    kinds = [decorator_name(one) for one in method.decorator_list]
    other = receiver_of(method)
    problem = ""
    if any(kind != "staticmethod" for kind in kinds):
        problem = f"{method.name} is decorated with @{next(k for k in kinds if k != 'staticmethod')}"
    elif other not in (receiver, ""):
        problem = f"{method.name} calls its object {other}, and not {receiver}"
    if not problem:
        return None
    return Diagnostic("FG045", problem, span_of(module, place), "", "write it as a plain method")


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
    optional = defaults_by_name(method.node).keys()
    names |= {name: name for name in parameters_of(method.node) if MARK not in name and name not in optional}
    constructor = next((node for node, _ in method.claims), None)
    known |= {claim.name for claim in found}
    for claim in class_claims(module, method.owner, constructor, frozenset(names)):
        if names[claim.name] not in known:
            found.append(replace(claim, name=names[claim.name]))
    said = {claim.name for claim in own}
    return (*own, *(claim for claim in found if claim.name not in said))
