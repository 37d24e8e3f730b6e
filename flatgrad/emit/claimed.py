"""The lines of forward that hold entries and settings of dicts to what is claimed of them, where they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Relation, Span, Stage, Value, every_step


@dataclass(slots=True)
class Checks:
    """Lines by the statement before or behind which they stand: behind it where it names what is checked."""

    before: dict[Stage, list[str]] = field(default_factory=dict)
    after: dict[Stage, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Claimed:
    """What one statement reads: the tests that fail where a claim does, and what is said then."""

    tests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def claim_checks(lowered: Lowered, names: Mapping[Value, str], rendered: Callable[[Span], str], numpy: str) -> Checks:
    """The checks of a function. `rendered`: the text of an expression as forward has it, on one line."""
    claimed: dict[tuple[Stage, bool], _Claimed] = {}
    texts: dict[Value, str] = {}
    for step in every_step(lowered.function.block):
        if not isinstance(step, Relation):
            continue
        entry = step.gate == "entry" and step.attrs.keys() & {"rank", "columns"}
        if not entry and not (step.gate == "opaque" and step.attrs.get("checked")):
            continue
        assert step.stage is not None
        assert step.span is not None
        text = texts[step.out] = names.get(step.out, step.out.name) or rendered(step.span)
        found = claimed.setdefault((step.stage, bool(step.out.name)), _Claimed())
        weights = step.attrs.get("columns")
        if not entry:
            found.tests.append(f"{numpy}.ndim({text}) != 0")
            found.said.append(f"{step.attrs.get('key', text)} must be a number")
        elif isinstance(weights, Value):
            columns = f"{texts[weights]}.shape[1:]" if weights.name else f"{numpy}.shape({texts[weights]})[1:]"
            found.tests.append(f"{numpy}.shape({text}) != {columns}")
            found.said.append(f"{_entry(text)} must have a number for each of its columns")
        else:
            found.tests.append(f"{numpy}.ndim({text}) != {step.attrs['rank']}")
            found.said.append(f"{_entry(text)} must be a matrix")
    checks = Checks()
    for (stage, named), found in claimed.items():
        where = checks.after if named else checks.before
        tests, said = (" or ".join(dict.fromkeys(found.tests)), ", and ".join(dict.fromkeys(found.said)))
        where.setdefault(stage, []).extend((f"if {tests}:", f"    raise ValueError({said!r})"))
    return checks


def _entry(text: str) -> str:
    """How a message calls an entry: `W in params` for `params["W" + str(i)]`."""
    match = re.match(r"""([^\[]+)\[f?["']([A-Za-z_]+)""", text)
    return f"{match[2]} in {match[1]}" if match is not None else text
