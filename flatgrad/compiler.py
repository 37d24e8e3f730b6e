"""The compiler, end to end: source text in, the text of a standalone module out.

    read -> lower -> infer -> group -> differentiate -> write

Each step is a function of the folder that bears its name; this file only leads from one to the next. `compilation/`
decides for which functions and parameters.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from flatgrad.compilation.settings import SettingChecks
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.emit.module import write_module
from flatgrad.emit.plan import ModulePlan
from flatgrad.frontend.claims import check_options
from flatgrad.frontend.class_marks import marked_shapes
from flatgrad.frontend.classes import with_methods
from flatgrad.frontend.lifting import lifted
from flatgrad.frontend.linking import link
from flatgrad.frontend.methods import spoken
from flatgrad.frontend.places import Linked
from flatgrad.frontend.python2 import python2_source
from flatgrad.frontend.respelling import respelled
from flatgrad.frontend.source import Module, entry_functions, read_module
from flatgrad.frontend.staging import one_relation_a_line
from flatgrad.frontend.unfolding import Unfolded, unfold
from flatgrad.frontend.unrolling import unroll
from flatgrad.gates.installed import installed
from flatgrad.ir.printer import printed
from flatgrad.options import Options


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
        refusals: list[Refused] = []
        for text in _readings(linked.module):
            try:
                return _compile(linked, text, options)
            except Refused as refused:
                # What is said of statements that the user did not write helps nobody.
                made = {place for place in text.places.values() if place.end_line}
                understood = not any(one.span in made for one in refused.diagnostics)
                if text.module is linked.module:
                    refusals.insert(0, refused)
                elif understood:
                    refusals.append(refused)
        raise refusals[-1] from None


def _readings(module: Module) -> Iterator[Unfolded]:
    """The texts that a file may be read as, the plainest first: with methods as functions where that is better, as it
    stands, with simpler constructs in the place of others."""
    plain = Unfolded(module, {})
    functions = lifted(plain)
    if functions.places:
        yield functions
    yield plain
    for text in (functions, plain) if functions.places else (plain,):
        simpler = respelled(text)
        if simpler is not text:
            again = lifted(simpler)  # what a method calls may be plain now
            if again is not simpler:
                yield again
            yield simpler


def _compile(linked: Linked, text: Unfolded, options: Options) -> Compiled:
    """Compile a text whose constructs are those that the frontend reads."""
    unrolled = unroll(text)
    module = unrolled.module
    flat = Unfolded(module, {})
    try:
        module = with_methods(module, options.functions)
        flat = unfold(module, entry_functions(module, options.functions))
        module = flat.module
        compiled = Compilation(module, options).run()
    except Refused as refused:
        old = python2_source(module, refused.diagnostics)
        found = [one.spoken(spoken) for one in refused.diagnostics] if old is None else [old]
        raise Refused(linked.placed(unrolled.placed(flat.placed(found)))) from None
    said = linked.placed(unrolled.placed(flat.placed([one.spoken(spoken) for one in compiled.notes])))
    notes = tuple(one for one in said if one.file is None)
    if options.stages == "relations":
        # What there is to say has been said of the user's own text.
        staged = replace(read_module(spoken(one_relation_a_line(module)), module.filename), borrowed=module.borrowed)
        compiled = Compilation(with_methods(staged, options.functions), options).run()
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


@dataclass(slots=True)
class Compilation(SettingChecks):
    """One file: what has been read and inferred so far, each function once."""

    def run(self) -> Compiled:
        names = entry_functions(self.module, self.options.functions)
        check_options([self.module.functions[name] for name in names], marked_shapes(self.options.shapes))
        chosen = self._entries(names)
        self._describe_helpers(chosen)
        if self.options.presume:
            self.presume_ranks(chosen)
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
