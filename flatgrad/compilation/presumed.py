"""The choice of what is presumed: numbers of dims that backward passes need and nothing tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from flatgrad.compilation.functions import FunctionChoice
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.facts.presumed import Presumption, agreements, presumptions
from flatgrad.frontend.methods import spoken
from flatgrad.ir.core import Span
from flatgrad.ir.dims import Shape

# How many parameters of a file may be presumed to be matrices.
_MOST = 40


@dataclass(slots=True)
class PresumedRanks(FunctionChoice):
    """Presumes ranks."""

    failed: set[tuple[str, str, str]] = field(default_factory=set)

    def presume_ranks(self, chosen: list[str]) -> None:
        """Presume one rank after the other, each where the types that follow from those before it still lack it."""
        made: list[Presumption] = []
        for _ in range(_MOST):
            found = self._next(chosen)
            if found is None:
                break
            name, one = found
            before, earlier = self._known(), self.presumed.get(name, {})
            self.presumed[name] = earlier | {one.name: one.assumption}
            try:
                self._type_again(chosen)
                self._describe_helpers(chosen)
                holds = _is_as_presumed(self.assumed[name][one.name].shape, one)
            except Refused:
                holds = False  # it contradicts what the code shows
            if holds:
                made.append(one)
            else:
                self._forget_to(before)
                self.presumed[name] = earlier
                self.failed.add((name, one.name, str(one.assumption.shape)))
        spans = dict.fromkeys(one.span for one in made)
        self.notes.extend(_note(span, [one for one in made if one.span == span]) for span in spans)

    def _next(self, chosen: list[str]) -> tuple[str, Presumption] | None:
        for name in (*chosen, *(name for name in self.typed if name not in chosen)):
            if name not in self.assumed or self.raw[name].imported:
                continue
            typed, assumed = self.typed[name], self.assumed[name]
            for one in (*presumptions(typed, assumed), *agreements(typed, assumed)):
                likely = self._of_arrays(name, {one.name: one.assumption})
                if likely and (name, one.name, str(one.assumption.shape)) not in self.failed:
                    return name, one
        return None


def _is_as_presumed(found: Shape | None, one: Presumption) -> bool:
    """Whether what is assumed in the end is what was presumed. The dims of what may be None have names of their own
    there, where others name them as well."""
    presumed = one.assumption.shape
    if found is None or presumed is None or one.agrees or not one.assumption.unless_none:
        return found == presumed
    return (found.rank, found.middle) == (presumed.rank, presumed.middle)


def _note(span: Span | None, presumed: list[Presumption]) -> Diagnostic:
    """One note for all that one product, or one sum, needs."""
    first = spoken(presumed[0].name)
    if presumed[0].agrees:
        return Diagnostic(
            "FG053",
            "both sides of this sum are taken to have one shape",
            span,
            "so that neither is repeated; forward checks it",
            f'say the shapes, as in `--shape {first}=N,D` or "{first}: (N, D)" in the docstring',
            severity="note",
        )
    kinds: dict[str, list[str]] = {}
    for one in presumed:
        kinds.setdefault(_kind(one), []).append(spoken(one.name))
    said = [
        f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} taken for {_several(kind, len(names))}"
        for kind, names in kinds.items()
    ]
    return Diagnostic(
        "FG053",
        ", ".join(said),
        span,
        "the gradient of this product depends on how many dimensions they have; forward checks it",
        f'say it yourself, as in `--shape {first}=N,D` or "{first}: (N, D)" in the docstring',
        severity="note",
    )


def _kind(one: Presumption) -> str:
    shape = one.assumption.shape
    assert shape is not None
    if shape.middle is not None:
        return "a stack of matrices"
    known = ("a number", "a vector", "a matrix")
    rank = len(shape.front)
    return known[rank] if rank < len(known) else f"an array of {rank} dimensions"


def _several(kind: str, count: int) -> str:
    """A kind in the plural where it is said of several."""
    _, noun, *rest = kind.split(" ", 2)
    if count == 1:
        return kind
    plural = "matrices" if noun == "matrix" else f"{noun}s"
    return " ".join([plural, *rest])
