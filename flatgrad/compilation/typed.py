"""The functions of a file, each read and typed once, when it is first asked for."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flatgrad.analysis import useful
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.facts.contracts import class_contract, unlike_the_others
from flatgrad.facts.infer import Assumption, infer
from flatgrad.facts.keyed import with_claimed_entries
from flatgrad.facts.optional import sure_assumptions
from flatgrad.facts.recursion import base_case, is_proved
from flatgrad.facts.settings import checkable
from flatgrad.facts.sizes import check_sizes, settling, sizes_given
from flatgrad.facts.texts import check_texts
from flatgrad.facts.usage import default_assumptions, usage_assumptions
from flatgrad.frontend.borrowed import Pair
from flatgrad.frontend.claim import Claim
from flatgrad.frontend.claims import parameter_claims
from flatgrad.frontend.classes import method_claims
from flatgrad.frontend.contracts import Contract, Unclear
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.imported import unknown
from flatgrad.frontend.liveness import own_statements
from flatgrad.frontend.lower import Context, lower
from flatgrad.frontend.methods import Role
from flatgrad.frontend.source import Module, entry_functions, name_span
from flatgrad.gates.entry import BY_PATH, OWN
from flatgrad.groups.match import with_groups
from flatgrad.ir.core import Block, DType, Kind, Relation, Span, Type
from flatgrad.options import Options


@dataclass(slots=True)
class TypedFunctions:
    """What has been read and inferred so far."""

    module: Module
    options: Options
    typed: dict[str, Lowered] = field(default_factory=dict)
    raw: dict[str, Lowered] = field(default_factory=dict)
    assumed: dict[str, dict[str, Assumption]] = field(default_factory=dict)
    claims: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    inlinable: dict[str, bool] = field(default_factory=dict)
    active: list[str] = field(default_factory=list)
    differentiated: dict[str, set[str]] = field(default_factory=dict)
    notes: list[Diagnostic] = field(default_factory=list)
    chosen: set[str] = field(default_factory=set)
    described: dict[str, dict[str, Assumption]] = field(default_factory=dict)
    presumed: dict[str, dict[str, Assumption]] = field(default_factory=dict)
    # The functions whose own words about shapes do not hold for what they are given.
    disclaimed: set[str] = field(default_factory=set)
    # How the layers of each class are called, and the methods that are written as these need them, in order.
    contracts: dict[str, Contract | Unclear] = field(default_factory=dict)
    layers: dict[str, None] = field(default_factory=dict)

    def _default_parameters(self, lowered: Lowered) -> set[str]:
        """The parameters that an entry gives gradients for."""
        raise NotImplementedError

    def function(self, name: str) -> Lowered:
        """A function, lowered and typed."""
        if name not in self.typed:
            if name in self.active:
                if self.active[-1] == name and self.raw.get(name) is not None and self.raw[name].recursive:
                    return self.raw[name]
                node = self.module.functions[name]
                raise Refused(
                    (
                        Diagnostic(
                            "FG037",
                            f"{name} calls itself through {self.active[-1]}",
                            name_span(self.module, node),
                            "recursion is understood where a function calls itself by its own name",
                            "write what it calls into it",
                        ),
                    )
                )
            self.active.append(name)
            try:
                pair = self.module.borrowed.pairs.get(name)
                self.typed[name] = self._typed(name) if pair is None else self._imported(name, pair)
            finally:
                self.active.remove(name)
        return self.typed[name]

    def _typed(self, name: str) -> Lowered:
        node = self.module.functions[name]
        entries = entry_functions(self.module, self.options.functions)
        shapes = self.options.shapes if name in entries else ()
        method = self.module.methods.get(name)
        if method is not None:
            claims = method_claims(self.module, method, shapes)
        else:
            claims = parameter_claims(self.module, node, shapes)
        if name in self.disclaimed:
            claims = tuple(one for one in claims if one.origin not in ("docstring", "comment"))
        self.claims[name] = claims
        assumptions = self.presumed.get(name, {}) | self.described.get(name, {}) | _assumptions(claims)
        called = [n for n in called_names(self.module, name) if n != name and f"{OWN}.{n}" not in BY_PATH]
        inlined = frozenset(n for n in called if self._inlines(n))
        kinds: Mapping[Span, Type] = {}
        described = frozenset(claim.name for claim in claims if claim.shape is not None)
        recursive = name in called_names(self.module, name) and f"{OWN}.{name}" not in BY_PATH
        if recursive:
            # What it gives is not known before it has been read: anything that may share memory with its arguments.
            self.raw[name] = self._before_it_is_known(name)
            self.assumed[name] = {}
            context, passing = Context(self.module, self._callee, inlined, kinds, self._contract, described), None
            while passing != (passing := self._passing(self.raw[name])):
                self.raw[name] = replace(lower(node, context), recursive=True)
        guessed = recursive
        for _ in range(6):
            context = Context(self.module, self._callee, inlined, kinds, self._contract, described)
            lowered = checkable(lower(node, context))
            if recursive:
                base = base_case(lowered)
                lowered = replace(lowered, recursive=True, base=base if guessed else None)
                self.raw[name] = lowered
            if name in entries:
                assumptions = default_assumptions(lowered, assumptions) | assumptions
            assumptions = sure_assumptions(lowered, assumptions, self._called)
            typed = infer(lowered, assumptions, self._called)
            while usage := self._of_arrays(name, usage_assumptions(typed, assumptions)):
                assumptions = sure_assumptions(lowered, assumptions | usage, self._called)
                typed = infer(lowered, assumptions, self._called)
            while (claimed := with_claimed_entries(lowered, typed)) is not lowered:
                lowered, typed = claimed, infer(claimed, assumptions, self._called)
            answers = {span: value.type for span, value in typed.questions.items()}
            if lowered.base is not None and not is_proved(typed, self._alone(lowered, lowered.base, assumptions)):
                guessed = False
            elif answers == kinds:
                break
            kinds = answers
        check_sizes(typed)
        check_texts(typed)
        self.raw[name] = replace(lowered, sizes=() if settling(typed) else sizes_given(typed))
        self.assumed[name] = assumptions
        self.notes.extend(note for note in lowered.notes if note not in self.notes)
        return with_groups(typed) if self.options.gates == "grouped" else typed

    def _of_arrays(self, name: str, usage: dict[str, Assumption]) -> dict[str, Assumption]:
        """What usage tells, but for shapes of attributes that the class makes numbers: `self.K = 2.0` is called like a
        matrix."""
        method = self.module.methods.get(name)
        numbers = () if method is None else [one for one, role in method.attributes.items() if role is Role.SETTING]
        return {
            one: assumption
            for one, assumption in usage.items()
            if one not in numbers or assumption.shape is None or assumption.shape.is_scalar
        }

    def _retype(self, name: str, lowered: Lowered) -> None:
        typed = infer(lowered, self.assumed[name], self._called)
        self.raw[name] = lowered
        self.typed[name] = with_groups(typed) if self.options.gates == "grouped" else typed

    def _passing(self, lowered: Lowered) -> tuple[int, ...]:
        """The parameters of a function, by position, that its results depend on as far as is known by now."""
        block = lowered.function.block
        reaching = useful(block, frozenset(result.value for result in lowered.results))
        return tuple(position for position, param in enumerate(block.params) if param in reaching)

    def _alone(self, lowered: Lowered, base: Block, assumptions: Mapping[str, Assumption]) -> Lowered:
        """A function that calls itself, where it does not."""
        results = tuple(
            replace(result, value=value) for result, value in zip(lowered.results, base.results, strict=True)
        )
        function = replace(lowered.function, block=base)
        return infer(replace(lowered, function=function, results=results), assumptions, self._called)

    def _before_it_is_known(self, name: str) -> Lowered:
        """A function that calls itself, as its own calls see it at first."""
        node = self.module.functions[name]
        counts = {
            len(part.value.elts) if isinstance(part.value, ast.Tuple) else 1
            for part in own_statements(node.body)
            if isinstance(part, ast.Return)
        }
        if len(counts) != 1 or node.args.vararg is not None or node.args.kwarg is not None:
            message = f"{name} calls itself, and how many results it has cannot be counted"
            help = "let each `return` give the same number of results"
            raise Refused((Diagnostic("FG037", message, name_span(self.module, node), "", help),))
        (count,) = counts
        found = unknown(self.module, node, count)
        everything = frozenset(found.function.block.params)
        roots = {**found.roots, **{result.value: everything for result in found.results}}
        # On which of them the results depend, and whether it changes any, shows when it is read: then its calls are
        # looked at again.
        body = tuple(replace(step, args=()) for step in found.function.block.body if isinstance(step, Relation))
        function = replace(found.function, block=replace(found.function.block, body=body))
        return replace(
            found, function=function, roots=roots, overwritten={}, width=count, imported=False, recursive=True
        )

    def _imported(self, name: str, pair: Pair) -> Lowered:
        """A function that is called as it stands in another file: its types, as far as they can be read off."""
        node = self.module.functions[name]
        self.claims[name], self.assumed[name] = (), {}
        try:
            lowered = lower(node, Context(self.module, self._callee, frozenset(), {}))
            results = lowered.results[: pair.results]
            if [result.position for result in results] != list(range(pair.results)):
                raise Refused(())
            block = replace(lowered.function.block, results=tuple(result.value for result in results))
            function = replace(lowered.function, block=block)
            self.raw[name] = checkable(replace(lowered, function=function, results=results, imported=True))
            return infer(self.raw[name], {}, self._called)
        except Refused:
            self.raw.setdefault(name, unknown(self.module, node, pair.results))
            return self.raw[name]

    def _contract(self, name: str) -> Contract | Unclear:
        """How the layers of a class are called; a method whose backward pass they need is written too."""
        if name not in self.contracts:
            asked = self.options.functions and entry_functions(self.module, self.options.functions)
            unlike = unlike_the_others(self.module)
            self.contracts[name], method = class_contract(
                name,
                self.module,
                {*asked, *unlike},
                self.function,
                lambda key: self._default_parameters(self.function(key)),
            )
            if method:
                self.layers[method] = None
            if method in unlike and method not in asked:
                self.notes.append(unlike[method])
        return self.contracts[name]

    def _callee(self, name: str) -> Lowered:
        self.function(name)
        return self.raw[name]

    def _called(self, name: str) -> tuple[Lowered, Mapping[str, Assumption]]:
        self.function(name)
        return self.raw[name], self.assumed[name]

    def _inlines(self, name: str) -> bool:
        """Whether a helper is a gate under a name of its own: `def sigmoid(x): return 1 / (1 + np.exp(-x))`."""
        if name not in self.inlinable:
            self.inlinable[name] = False
            if name in self.active or name not in self.module.functions:
                return False
            try:
                lowered = self.function(name)
            except Refused:
                return False
            statements = [s for s in lowered.node.body if s is not lowered.node.body[0] or len(lowered.node.body) == 1]
            body = lowered.function.block.body
            one_gate = len(body) == 1 and isinstance(body[0], Relation) and lowered.width == 1
            self.inlinable[name] = (
                one_gate and len(statements) == 1 and not name.endswith("_forward") and len(self.raw[name].stages) == 1
            )
        return self.inlinable[name]


def _assumptions(claims: tuple[Claim, ...]) -> dict[str, Assumption]:
    kinds = {"array": Kind.ARRAY, "scalar": Kind.SCALAR, "other": Kind.OTHER}
    found: dict[str, Assumption] = {}
    for claim in claims:
        known = found.get(claim.name, Assumption())
        kind = kinds.get(claim.kind or "")
        dtype: DType | None = claim.dtype if claim.dtype in (DType.INT, DType.BOOL) else None
        if kind is Kind.OTHER:
            dtype = DType.NONE
        # A list of numbers is read as an array where NumPy meets it, and is none.
        if claim.kind == "list" and claim.shape is not None:
            kind = Kind.OPEN
        # An np.ndarray may have no dims at all: the word alone proves no array that has some.
        if kind is Kind.ARRAY and claim.shape is None:
            kind = None
        found[claim.name] = Assumption(
            known.shape or claim.shape, known.dtype or dtype, known.kind or kind, claim.unless_none
        )
    return found


def called_names(module: Module, name: str) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            part.func.id
            for part in ast.walk(module.functions[name])
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in module.functions
        )
    )
