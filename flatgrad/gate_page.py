"""The table of gates as people read it: for a terminal, and as the page docs/gates.md."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Sequence

from flatgrad.gates.declared import NumbersOnly
from flatgrad.gates.entry import OWN, TABLE, BackwardRule, Gate

INTRODUCTION = """\
# What is understood

Made by `flatgrad gates --format markdown` from the table in `flatgrad/gates/`; do not edit it here.

In the calls, `x` and `y` are operands, `xs` is a sequence of them, `c` is a condition and `i` an index; every other
name is an attribute, shown with its default value. In the gradients, `z` is the result, `dz` the gradient that comes
in, `dx` and `dy` are what goes out; where an operand was broadcast, its gradient is summed down to its own shape. An
operand without a gradient passes none on: what is integer, boolean, or a step function.
"""


def sections(declared: Sequence[Gate] = ()) -> dict[str, list[Gate]]:
    """The gates by section, in the order in which they are declared; those of the user's own come last."""
    gates = importlib.import_module("flatgrad.gates")  # fills the table
    found = {name: [TABLE[gate] for gate in names] for name, names in gates.SECTIONS.items()}
    return {**found, "your own": list(declared)} if declared else found


def calls(gate: Gate) -> list[str]:
    """Every way to call a gate, once."""
    return list(dict.fromkeys(spelling.text for spelling in gate.spellings))


def gradients(gate: Gate) -> list[tuple[str, str]]:
    """For each differentiable operand, what its gradient is called and how it is computed.

    A rule that decides by ranks or attributes is a function; the first line of its docstring stands for it.
    """
    return [(f"d{operand}", _rule(rule)) for operand, rule in gate.backward.items()]


def _rule(rule: BackwardRule) -> str:
    if isinstance(rule, str | NumbersOnly):
        return rule if isinstance(rule, str) else rule.spelling
    text = inspect.getdoc(rule)
    return text.splitlines()[0].rstrip(".") if text else ""


def as_text(declared: Sequence[Gate] = ()) -> str:
    """The table for a terminal."""
    return "\n".join(_text_lines(declared)) + "\n"


def _text_lines(declared: Sequence[Gate]) -> Iterator[str]:
    count = 0
    for section, gates in sections(declared).items():
        yield section.upper()
        for gate in gates:
            count += 1
            yield f"  {gate.name.removeprefix(f'{OWN}.')}"
            yield f"    {', '.join(calls(gate))}"
            for name, rule in gradients(gate):
                yield f"      {name} = {rule}" if _is_spelling(gate, name) else f"      {name}: {rule or 'by rank'}"
            if not gate.backward:
                yield "      no gradient"
            if gate.convention:
                yield f"      {gate.convention}"
        yield ""
    yield f"{count} gates"


def _is_spelling(gate: Gate, name: str) -> bool:
    return isinstance(gate.backward[name[1:]], str | NumbersOnly)


def as_markdown(declared: Sequence[Gate] = ()) -> str:
    """The page in the docs."""
    return INTRODUCTION + "".join(_markdown_parts(declared))


def _markdown_parts(declared: Sequence[Gate]) -> Iterator[str]:
    for section, gates in sections(declared).items():
        yield f"\n## {section[:1].upper()}{section[1:]}\n\n"
        yield "| gate | calls | gradients | conventions |\n|---|---|---|---|\n"
        for gate in gates:
            spelled = "<br>".join(_code(call) for call in calls(gate))
            rules = "<br>".join(
                _code(f"{name} = {rule}") if _is_spelling(gate, name) else f"{_code(name)}: {_cell(rule or 'by rank')}"
                for name, rule in gradients(gate)
            )
            proof = f"checked numerically: {gate.numeric_only}" if gate.numeric_only else ""
            notes = "; ".join(_cell(text) for text in (gate.convention, proof) if text)
            yield f"| {gate.name.removeprefix(f'{OWN}.')} | {spelled} | {rules or 'none'} | {notes} |\n"


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
