"""The printed form of the IR: one relation a line, with shapes, stable from run to run."""

from __future__ import annotations

from flatgrad.ir.core import Attribute, Block, Call, Function, Literal, Operand, Relation, Slice, Step, Value


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
    return _step(step, _Numbers())


def _parameters(block: Block, numbers: _Numbers) -> str:
    return ", ".join(_bound(value, numbers) for value in block.params)


def _lines(block: Block, numbers: _Numbers) -> list[str]:
    lines = [f"  {_step(step, numbers)}" for step in block.body]
    lines.append("  return " + ", ".join(_used(value, numbers) for value in block.results))
    return lines


def _step(step: Step, numbers: _Numbers) -> str:
    args = ", ".join(_operand(arg, numbers) for arg in step.args)
    match step:
        case Call(function=function):
            text = f"call {function} {args}"
        case Relation(gate=gate, attrs=attrs):
            words = [f"{name}={_attribute(value, numbers)}" for name, value in attrs.items()]
            text = " ".join(part for part in (gate, args, *words) if part)
    outs = ", ".join(_bound(out, numbers) for out in step.outs)
    return f"{outs} = {text}"


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
