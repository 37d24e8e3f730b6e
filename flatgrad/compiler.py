"""The compiler, end to end: source text in, the text of a standalone module out.

    read -> lower -> infer -> group -> differentiate -> write

Each step is a function of the folder that bears its name; this file only leads from one to the next, and decides for
which functions and parameters.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from flatgrad.analysis import useful, varied
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.differentiate.walk import Backward, Memory, Signature, differentiate
from flatgrad.emit.callee import Callee
from flatgrad.emit.module import function_text, import_names, write_module
from flatgrad.emit.plan import FunctionPlan, FunctionText, ModulePlan
from flatgrad.facts.callers import call_assumptions, needs_callers
from flatgrad.facts.contracts import class_contract
from flatgrad.facts.guards import guard_lines
from flatgrad.facts.infer import Assumption, infer
from flatgrad.facts.keyed import with_claimed_entries
from flatgrad.facts.layers import layer_guards
from flatgrad.facts.optional import sure_assumptions
from flatgrad.facts.recursion import base_case, is_proved
from flatgrad.facts.settings import checkable, settings, with_settings
from flatgrad.facts.usage import default_assumptions, usage_assumptions
from flatgrad.frontend.borrowed import Pair
from flatgrad.frontend.calls import defaults_of
from flatgrad.frontend.claims import Claim, check_options, parameter_claims
from flatgrad.frontend.classes import marked_shapes, method_claims, with_methods
from flatgrad.frontend.contracts import Contract, Unclear
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.imported import unknown
from flatgrad.frontend.linking import link
from flatgrad.frontend.liveness import own_statements
from flatgrad.frontend.lower import Context, lower
from flatgrad.frontend.methods import MARK, bare, spoken
from flatgrad.frontend.places import Linked
from flatgrad.frontend.source import Module, entry_functions, name_span, python2_source, read_module
from flatgrad.frontend.staging import one_relation_a_line
from flatgrad.frontend.unfolding import Unfolded, unfold
from flatgrad.frontend.unrolling import unroll
from flatgrad.gates.declared import installed
from flatgrad.gates.entry import BY_PATH, OWN, Gate
from flatgrad.groups.match import with_groups
from flatgrad.ir.core import Block, Call, DType, Kind, Relation, Span, Type, Value, every_step
from flatgrad.ir.printer import printed


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides. Empty: the default of the design."""

    functions: tuple[str, ...] = ()
    wrt: tuple[str, ...] = ()
    output: str = ""
    shapes: tuple[tuple[str, str], ...] = ()
    gates: str = "grouped"
    stages: str = "source"
    accumulate: str = "forks"
    declared: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A function that the module differentiates: its base name, its parameters, what it gives gradients for."""

    name: str
    parameters: tuple[str, ...]
    wrt: tuple[str, ...]
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    text: str
    ir: str
    notes: tuple[Diagnostic, ...]
    entries: tuple[Entry, ...]


def compile_source(source: str, filename: str, options: Options, beside: bool = True) -> Compiled:
    """Compile the functions of a source file. `beside`: what it imports from its project is read from the files there.

    Raises:
        Refused: with everything that is not understood.
    """
    with installed(options.declared), _collector_paused():
        own = read_module(source, filename)
        linked = link(own) if beside else Linked(own)
        unrolled = unroll(linked.module)
        module = unrolled.module
        flat = Unfolded(module, {})
        try:
            module = with_methods(module, options.functions)
            flat = unfold(module, entry_functions(module, options.functions))
            module = flat.module
            compiled = _Compilation(module, options).run()
        except Refused as refused:
            old = python2_source(module, refused.diagnostics)
            found = [one.spoken(spoken) for one in refused.diagnostics] if old is None else [old]
            raise Refused(linked.placed(unrolled.placed(flat.placed(found)))) from None
        said = linked.placed(unrolled.placed(flat.placed([one.spoken(spoken) for one in compiled.notes])))
        notes = tuple(one for one in said if one.file is None)
        if options.stages == "relations":
            # What there is to say has been said of the user's own text.
            staged = replace(read_module(spoken(one_relation_a_line(module)), filename), borrowed=module.borrowed)
            compiled = _Compilation(with_methods(staged, options.functions), options).run()
        return replace(compiled, notes=notes)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Nothing that a compile makes is garbage before its end: the collector would walk it again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


# How often helpers are described by their callers: as deep as helpers that call each other go.
_MOST_ROUNDS = 4


@dataclass(slots=True)
class _Compilation:
    """One file: what has been read and inferred so far, each function once."""

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
    # How the layers of each class are called, and the methods that are written as these need them, in order.
    contracts: dict[str, Contract | Unclear] = field(default_factory=dict)
    layers: dict[str, None] = field(default_factory=dict)

    def run(self) -> Compiled:
        names = entry_functions(self.module, self.options.functions)
        check_options([self.module.functions[name] for name in names], marked_shapes(self.options.shapes))
        chosen = self._entries(names)
        self._describe_helpers(chosen)
        self.chosen.update(chosen)
        written = [*chosen, *(name for name in self.layers if name not in chosen)]
        order = self._call_order(written)
        for name in order:
            self._choose_parameters(name, name in written)
        self._check_names(order)
        self._free_settings()
        for name in order:
            self._check_settings(name)
        plans = {name: self._plan(name) for name in order if self.differentiated[name]}
        functions = tuple(plans[name] for name in self.module.functions if name in plans)
        called = [*order, *(name for name in self.module.borrowed.pairs if name in self.typed)]
        plan = ModulePlan(self.module, functions, self._command(), {name: self._called_as(name) for name in called})
        text = write_module(plan)
        entries = tuple(
            Entry(
                name.removesuffix("_forward"),
                tuple(value.name for value in plans[name].lowered.function.block.params),
                tuple(value.name for value in plans[name].backward.wrt),
                tuple(result.name or "out" for result in plans[name].lowered.results),
            )
            for name in order
            if name in chosen and name not in self.module.methods
        )
        ir = "\n\n".join(printed(p.lowered.function, p.backward.block) for p in functions)
        return Compiled(text, ir + "\n", tuple(self.notes), entries)

    def _free_settings(self) -> None:
        """Functions that are written as they stand hold nothing to a claim."""
        for name in list(self.typed):
            claimed = settings(self.raw[name])
            if claimed and not self.differentiated.get(name):
                self._retype(name, with_settings(self.raw[name], claimed, False))
                for caller in self._callers(name):
                    self._retype(caller, self.raw[caller])

    def _check_settings(self, name: str) -> None:
        """Of what `d.get("eps", 1e-5)` gives it is claimed that it is one number. Forward holds it to that where the
        text of the function, or of one that calls it, would be another without the claim."""
        claimed = sorted(settings(self.raw[name]), key=lambda span: (span.line, span.column))
        if not claimed:
            return
        above = [name, *self._callers(name)]
        texts = [self._text(one) for one in above]
        free: frozenset[Span] = frozenset()
        for span in claimed:
            other = replace(self, typed=dict(self.typed), raw=dict(self.raw))
            try:
                other._retype(name, with_settings(self.raw[name], free | {span}, False))
                for caller in above[1:]:
                    other._retype(caller, self.raw[caller])
                free |= {span} if [other._text(one) for one in above] == texts else frozenset()
            except Refused:
                continue  # without the claim it is not understood
        self._retype(name, with_settings(self.raw[name], free, True))

    def _callers(self, name: str) -> list[str]:
        """The functions that call another, themselves or through others, and are written."""
        found = [name]
        for reached in found:
            for caller, typed in self.typed.items():
                calls = (step for step in every_step(typed.function.block) if isinstance(step, Call))
                if caller not in found and any(step.function == reached for step in calls):
                    found.append(caller)
        return [caller for caller in found[1:] if self.differentiated.get(caller)]

    def _retype(self, name: str, lowered: Lowered) -> None:
        typed = infer(lowered, self.assumed[name], self._called)
        self.raw[name] = lowered
        self.typed[name] = with_groups(typed) if self.options.gates == "grouped" else typed

    def _text(self, name: str) -> FunctionText:
        called = {one: self._called_as(one) for one in self.typed}
        plan = self._plan(name)
        return function_text(ModulePlan(self.module, (plan,), "", called), plan)

    def _check_names(self, order: list[str]) -> None:
        """What the module defines must not be what the file defines already, and not twice."""
        defined: dict[str, str] = {}
        for name in order:
            base = name.removesuffix("_forward")
            for made in (f"{base}_forward", f"{base}_backward", f"{base}_value_and_grad"):
                owner = defined.get(made) or (made if made in self.module.functions and made != name else None)
                called = owner in defined.values() or any(owner in _called_names(self.module, other) for other in order)
                if owner is not None and called and self.differentiated[name]:
                    node = self.module.functions[name]
                    message = f"{name} would be written as {made}, which {owner} is already"
                    raise Refused(
                        (Diagnostic("FG067", message, name_span(self.module, node), "", "rename one of them"),)
                    )
                if self.differentiated[name]:
                    defined[made] = name

    # Which functions

    def _entries(self, names: tuple[str, ...]) -> list[str]:
        errors: list[Diagnostic] = []
        chosen: list[str] = []
        for name in names:
            try:
                lowered = self.function(name)
            except Refused as refused:
                errors.extend(refused.diagnostics)
                continue
            constant = self._constant_result(lowered)
            if constant is None:
                chosen.append(name)
            elif self.options.functions or len(names) == 1:
                errors.append(constant)
            else:
                self.notes.append(replace(constant, severity="note"))
        self._check_wrt(chosen, errors)
        if errors:
            raise Refused(tuple(dict.fromkeys(errors)))
        if not chosen:
            raise Refused(
                (Diagnostic("FG064", "nothing here to differentiate", None, "", "name a function with --function"),)
            )
        return chosen

    def _describe_helpers(self, chosen: list[str]) -> None:
        """Type helpers again that need to know what they are given, until their callers tell nothing new."""
        state = (self.typed, self.raw, self.assumed, self.claims, self.inlinable)
        described = self.described
        for _ in range(_MOST_ROUNDS):
            callers = [(self.typed[name], self.assumed[name]) for name in self.typed if name in self.assumed]
            found = dict(self.described)
            for name, typed in self.typed.items():
                if name in chosen or self.raw[name].imported:
                    continue
                if name in self.described or needs_callers(typed):
                    found[name] = call_assumptions(name, typed, callers, self.described.get(name, {}))
            if found == self.described:
                return
            self.described = found
            self.typed, self.raw, self.assumed, self.claims, self.inlinable = {}, {}, {}, {}, {}
            try:
                for name in chosen:
                    self.function(name)
            except Refused:
                # Two calls give it different things.
                self.typed, self.raw, self.assumed, self.claims, self.inlinable = state
                self.described = described
                return

    def _check_wrt(self, chosen: list[str], errors: list[Diagnostic]) -> None:
        known = {spoken(value.name) for name in chosen for value in self.typed[name].function.block.params}
        for wrt in self.options.wrt:
            if chosen and wrt not in known and not any(wrt == name.rpartition(".")[2] for name in known):
                node = self.module.functions[chosen[0]]
                errors.append(
                    Diagnostic(
                        "FG063",
                        f"--wrt {wrt}: no such parameter",
                        name_span(self.module, node),
                        "",
                        f"the parameters are {', '.join(sorted(known))}",
                    )
                )

    def _constant_result(self, lowered: Lowered) -> Diagnostic | None:
        params = lowered.function.block.params
        block = lowered.function.block
        floating = frozenset(p for p in params if p.type.dtype.differentiable)
        reached = varied(block, floating)
        if any(result.value in reached for result in lowered.results):
            return None
        name = lowered.function.name
        return Diagnostic(
            "FG062",
            f"the result of {name} does not depend on any parameter by a floating path",
            lowered.results[0].span,
            "its gradient is zero everywhere",
            "differentiate another result, or another function",
        )

    def _call_order(self, chosen: list[str]) -> list[str]:
        """The functions to be written, callers before what they call."""
        order: list[str] = []
        visited: set[str] = set()

        def visit(name: str) -> None:
            if name in visited or name in self.module.borrowed.pairs:
                return
            visited.add(name)
            for step in every_step(self.function(name).function.block):
                if isinstance(step, Call):
                    visit(step.function)
            order.append(name)

        for name in chosen:
            visit(name)
        return order[::-1]

    def _choose_parameters(self, name: str, is_entry: bool) -> None:
        lowered = self.typed[name]
        wanted = self.differentiated.setdefault(name, set())
        if is_entry:
            wanted |= self._default_parameters(lowered)
        block = lowered.function.block
        before = len(wanted)
        active = varied(block, frozenset(p for p in block.params if p.name in wanted))
        for step in every_step(block):
            if isinstance(step, Call) and any(out in active for out in step.outs):
                callee = self.typed[step.function]
                reaching = self._reaching(callee)
                for param, arg in zip(callee.function.block.params, step.args, strict=True):
                    if isinstance(arg, Value) and arg in active and param.name in reaching:
                        self._check_gradient(step, param)
                        self.differentiated.setdefault(step.function, set()).add(param.name)
        if lowered.recursive and len(wanted) > before:
            self._choose_parameters(name, False)

    def _check_gradient(self, step: Call, param: Value) -> None:
        """A backward function of the user's must return what is asked of it."""
        pair = self.module.borrowed.pairs.get(step.function)
        if pair is not None and param.name not in [one.parameter for one in pair.gradients]:
            message = f"{pair.backward} returns no gradient of {param.name}"
            help = "let it return one, zeros for what the results do not depend on"
            raise Refused((Diagnostic("FG027", message, step.span, "which carries a gradient here", help),))

    def _default_parameters(self, lowered: Lowered) -> set[str]:
        params = [value.name for value in lowered.function.block.params]
        asked = {name for name in params if {spoken(name), bare(name)} & set(self.options.wrt)}
        if asked:
            return asked
        given = set(defaults_of(lowered.node))
        method = self.module.methods.get(lowered.function.name)
        if method is not None:
            given |= {name for name in method.attributes if method.setting(name)}
        reaching = self._reaching(lowered)
        settings = _settings(lowered)
        found = {name for name in params if name in reaching and name not in given and name not in settings}
        if not found:
            raise Refused(
                (
                    Diagnostic(
                        "FG062",
                        f"{lowered.function.name}: only parameters with a default value reach the result",
                        name_span(self.module, lowered.node),
                        "",
                        "choose one with --wrt",
                    ),
                )
            )
        return found

    def _reaching(self, lowered: Lowered) -> set[str]:
        block = lowered.function.block
        reached = useful(block, frozenset(result.value for result in lowered.results))
        # Of a pair, what its backward function says counts: it may let a gradient through that forward does not.
        pair = self.module.borrowed.pairs.get(lowered.function.name)
        given = {one.parameter for one in pair.gradients} if pair is not None else set()
        return given | {
            p.name
            for p in block.params
            if p in reached and p.type.dtype.differentiable and p.type.kind is not Kind.OTHER
        }

    # One function

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
        self.claims[name] = claims
        assumptions = self.described.get(name, {}) | _assumptions(claims)
        called = [n for n in _called_names(self.module, name) if n != name and f"{OWN}.{n}" not in BY_PATH]
        inlined = frozenset(n for n in called if self._inlines(n))
        kinds: Mapping[Span, Type] = {}
        recursive = name in _called_names(self.module, name) and f"{OWN}.{name}" not in BY_PATH
        if recursive:
            # What it gives is not known before it has been read: anything that may share memory with its arguments.
            self.raw[name] = self._before_it_is_known(name)
            self.assumed[name] = {}
            context, passing = Context(self.module, self._callee, inlined, kinds, self._contract), None
            while passing != (passing := self._passing(self.raw[name])):
                self.raw[name] = replace(lower(node, context), recursive=True)
        guessed = recursive
        for _ in range(6):
            context = Context(self.module, self._callee, inlined, kinds, self._contract)
            lowered = checkable(lower(node, context))
            if recursive:
                base = base_case(lowered)
                lowered = replace(lowered, recursive=True, base=base if guessed else None)
                self.raw[name] = lowered
            if name in entries:
                assumptions = default_assumptions(lowered, assumptions) | assumptions
            assumptions = sure_assumptions(lowered, assumptions, self._called)
            typed = infer(lowered, assumptions, self._called)
            while usage := usage_assumptions(typed, assumptions):
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
        self.raw[name] = lowered
        self.assumed[name] = assumptions
        self.notes.extend(note for note in lowered.notes if note not in self.notes)
        return with_groups(typed) if self.options.gates == "grouped" else typed

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
            self.contracts[name], method = class_contract(
                name, self.module, asked, self.function, lambda key: self._default_parameters(self.function(key))
            )
            if method:
                self.layers[method] = None
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

    def _plan(self, name: str) -> FunctionPlan:
        lowered = self.typed[name]
        params = lowered.function.block.params
        wrt = tuple(p for p in params if p.name in self.differentiated[name])
        upstream = self._upstream(lowered)
        backward = self._differentiated(lowered, wrt, upstream)
        guards: tuple[str, ...] = ()
        assumptions = self.assumed[name]
        numbers = frozenset(
            root.name
            for value in lowered.questions.values()
            if value.type.kind is Kind.SCALAR
            for root in lowered.roots[value]
            if root in params and root.type.kind is Kind.SCALAR
        )
        if numbers or any(one.shape is not None for one in assumptions.values()):
            guards = guard_lines(self.raw[name], assumptions, self._called, self._numpy(), numbers)
        method = self.module.methods.get(name)
        if method is not None:
            called = [self.typed[one] for one in self._methods_under(name)]
            guards += layer_guards(lowered, method.distinct, called)
        return FunctionPlan(
            name=name,
            lowered=lowered,
            backward=backward,
            guards=guards,
            claims=self.claims[name],
            returned=upstream if self.options.output and name in self.chosen else tuple(range(len(lowered.results))),
        )

    def _methods_under(self, name: str) -> list[str]:
        """The methods that a method calls, itself or through others."""
        found = [name]
        for one in found:
            steps = every_step(self.typed[one].function.block)
            called = [step.function for step in steps if isinstance(step, Call)]
            found += [other for other in called if other in self.module.methods and other not in found]
        return found[1:]

    def _called_as(self, name: str) -> Callee:
        lowered = self.typed[name]
        pair = self.module.borrowed.pairs.get(name)
        if pair is not None:
            return Callee(pair.forward, pair.backward, pair.forward, tuple(range(pair.results)), pair.results + 1)
        positions, width = tuple(result.position for result in lowered.results), lowered.width
        method = self.module.methods.get(name)
        if method is not None and method.receiver:
            wanted = [param.name for param in lowered.function.block.params if param.name in self.differentiated[name]]
            left = MARK if method.is_forward else " "
            held = tuple(f"{method.receiver}{MARK}d{bare(one)}" if left in one else "" for one in wanted)
            forward, backward = (f"{method.receiver}{MARK}{one}" for one in (method.name, method.backward_name))
            return Callee(forward, backward, forward, positions, width, held)
        base = name.removesuffix("_forward")
        plain = name
        if self.differentiated[name] and name.endswith("_forward") and positions != tuple(range(width - 1)):
            # The function of that name hands out a cache that the user's own did not.
            whole = positions == tuple(range(width))
            plain = "" if not whole else f"{name}[0]" if width == 1 else f"{name}[:-1]"
        return Callee(f"{base}_forward", f"{base}_backward", plain, positions, width)

    def _numpy(self) -> str:
        return import_names(self.module, [name for name, wanted in self.differentiated.items() if wanted]).numpy

    def _differentiated(self, lowered: Lowered, wrt: tuple[Value, ...], upstream: tuple[int, ...]) -> Backward:
        return differentiate(lowered, wrt, upstream, self._signature, self.options.accumulate == "always")

    def _upstream(self, lowered: Lowered) -> tuple[int, ...]:
        """The results that are differentiated, by position: `--output` chooses among those of an entry."""
        if self.options.output and lowered.function.name in self.chosen:
            found = tuple(k for k, r in enumerate(lowered.results) if r.name == self.options.output)
            if not found:
                names = ", ".join(r.name or "out" for r in lowered.results)
                raise Refused(
                    (
                        Diagnostic(
                            "FG066",
                            f"--output {self.options.output}: no such result",
                            lowered.results[0].span,
                            "",
                            f"the results are {names}",
                        ),
                    )
                )
            return found
        return tuple(k for k, r in enumerate(lowered.results) if r.value.type.dtype.differentiable)

    def _signature(self, name: str) -> Signature:
        lowered = self.typed[name]
        pair = self.module.borrowed.pairs.get(name)
        if pair is not None:
            params = [param.name for param in lowered.function.block.params]
            places = tuple(params.index(one.parameter) for one in pair.gradients)
            own = Memory(pair.changes, tuple(one.fresh for one in pair.gradients))
            return Signature(name, places, tuple(range(pair.results)), own, tuple(params))
        wanted = self.differentiated.get(name, set())
        positions = tuple(k for k, p in enumerate(lowered.function.block.params) if p.name in wanted)
        parameters = tuple(param.name for param in lowered.function.block.params)
        keys = {k: self._keys(name, k) for k, p in enumerate(lowered.function.block.params) if p.type.kind is Kind.DICT}
        return Signature(name, positions, self._upstream(lowered), parameters=parameters, keys=keys)

    def _keys(self, name: str, position: int) -> frozenset[str] | None:
        """The keys under which a function, or one that it calls, reads a dict; None where they are not constants."""
        block = self.typed[name].function.block
        param = block.params[position]
        found: frozenset[str] = frozenset()
        for step in every_step(block):
            match step:
                case Relation(gate="opaque", attrs={"holds": "keys"}) if param in step.operands():
                    return None
                case Relation(gate="entry", args=(base,)) if base is param:
                    found |= {str(step.attrs["key"])}
                case Call() if param in step.args and step.function not in self.module.borrowed.pairs:
                    inner = self._keys(step.function, step.args.index(param))
                    if inner is None:
                        return None
                    found |= inner
                case _ if param in step.operands() and not (isinstance(step, Relation) and step.gate == "opaque"):
                    return None
        return found

    def _command(self) -> str:
        """The options that change the text, as on the command line."""
        options = self.options
        parts = [f"--function {name}" for name in options.functions]
        if options.wrt:
            parts.append(f"--wrt {','.join(options.wrt)}")
        if options.output:
            parts.append(f"--output {options.output}")
        parts += [f"--shape {name}={dims}" for name, dims in options.shapes]
        if options.gates != "grouped":
            parts.append(f"--gates {options.gates}")
        if options.stages != "source":
            parts.append(f"--stages {options.stages}")
        if options.accumulate != "forks":
            parts.append(f"--accumulate {options.accumulate}")
        return " ".join(parts)


def _settings(lowered: Lowered) -> set[str]:
    """Parameters that are dicts of settings: something else than a value is asked of them or of their entries, or they
    are written to."""
    block = lowered.function.block
    roots = {param: param for param in block.params if param.type.kind is Kind.DICT}
    found = {param.name for param in roots if param in lowered.changed_dicts}
    for step in every_step(block):
        if not isinstance(step, Relation):
            continue
        owners = [roots[arg] for arg in step.args if isinstance(arg, Value) and arg in roots]
        if step.gate in ("entry", "alias") and owners:
            roots[step.out] = owners[0]
        elif step.gate == "opaque" and step.attrs.get("holds") not in ("keys", "count"):
            found |= {owner.name for owner in owners}
    return found


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


def _called_names(module: Module, name: str) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            part.func.id
            for part in ast.walk(module.functions[name])
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in module.functions
        )
    )
