"""The printed form of the IR: one relation a line, with shapes, stable from run to run."""

from __future__ import annotations

from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Call,
    Function,
    Literal,
    Loop,
    Operand,
    Relation,
    Slice,
    Step,
    Value,
    bound_values,
)


class _Numbers(dict[Value, str]):
    """What each value is called; a name that is bound again gets a number."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}


def printed(function: Function, backward: Block | None = None) -> str:
    """A function, and its backward block if there is one."""
    numbers = _Numbers()
    lines = [f"function {function.name}({_parameters(function.block, numbers)})"]
    lines += _lines(function.block, numbers)
    if backward is not None:
        lines.append(f"backward {function.name}({_parameters(backward, numbers)})")
        lines += _lines(backward, numbers)
    return "\n".join(lines)


def printed_step(step: Step) -> str:
    """One relation by itself; values without a name are numbered from 0."""
    return "\n".join(_step(step, _Numbers()))


def _parameters(block: Block, numbers: _Numbers) -> str:
    return ", ".join(_bound(value, numbers) for value in block.params)


def _lines(block: Block, numbers: _Numbers, word: str = "return") -> list[str]:
    lines = [f"  {line}" for step in block.body for line in _step(step, numbers)]
    lines.append(f"  {word} " + ", ".join(_used(value, numbers) for value in block.results))
    return lines


def _step(step: Step, numbers: _Numbers) -> list[str]:
    match step:
        case Loop():
            return _loop(step, numbers)
        case Branch():
            lines = [f"if {_operand(step.test, numbers)}"]
            lines += _lines(step.then, numbers, "give")
            lines += ["else", *_lines(step.orelse, numbers, "give")]
            return _binding(step.outs, lines, numbers)
        case Call(function=function):
            text = f"call {function} " + ", ".join(_operand(arg, numbers) for arg in step.args)
        case Relation(gate=gate, attrs=attrs):
            args = ", ".join(_operand(arg, numbers) for arg in step.args)
            words = [f"{name}={_attribute(value, numbers)}" for name, value in attrs.items()]
            text = " ".join(part for part in (gate, args, *words) if part)
    return _binding(step.outs, [text], numbers)


def _loop(step: Loop, numbers: _Numbers) -> list[str]:
    carried = [
        f"{_bound(param, numbers)} from {_used(init, numbers)}"
        for param, init in zip(step.carried, step.inits, strict=True)
    ]
    index = _bound(step.index, numbers)
    if step.bounds:
        rounds = f"for {index} in {':'.join(_operand(bound, numbers) for bound in step.bounds)}"
    else:
        rounds = f"while {index}"
    lines = [" ".join([rounds, *(["backwards"] if step.backwards else []), ", ".join(carried)]).rstrip()]
    if step.condition is not None:
        lines += _lines(step.condition, numbers, "go on if")
    lines += _lines(step.body, numbers, "next")
    return _binding(bound_values(step), lines, numbers)


def _binding(outs: tuple[Value, ...], lines: list[str], numbers: _Numbers) -> list[str]:
    bound = ", ".join(_bound(out, numbers) for out in outs)
    return [f"{bound} = {lines[0]}" if bound else lines[0], *lines[1:]]


def _bound(value: Value, numbers: _Numbers) -> str:
    taken = numbers.counts.get(value.name, 0)
    numbers.counts[value.name] = taken + 1
    numbers[value] = f"{value.name or '%'}.{taken}" if taken or not value.name else value.name
    return f"{numbers[value]}:{value.type.shape}"


def _used(value: Value, numbers: _Numbers) -> str:
    return numbers.get(value) or value.name or "?"


def _operand(operand: Operand, numbers: _Numbers) -> str:
    return operand.text if isinstance(operand, Literal) else _used(operand, numbers)


def _attribute(attribute: Attribute, numbers: _Numbers) -> str:
    match attribute:
        case Value():
            return _used(attribute, numbers)
        case Slice(start, stop, step):
            parts = ["" if part is None else _attribute(part, numbers) for part in (start, stop, step)]
            return ":".join(parts[:2] + ([parts[2]] if parts[2] else []))
        case tuple():
            return "(" + ", ".join(_attribute(part, numbers) for part in attribute) + ")"
        case _:
            return "..." if attribute is Ellipsis else repr(attribute)
