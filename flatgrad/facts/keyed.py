"""Claims about entries under keys that are put together when the program runs: `params["W" + str(i)]`.

As of parameters, an entry whose key begins with a capital is taken for a matrix where it stands in a product, and one
whose key begins with b for one number a column where it is added to `h @ W`. Each is held to it where it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from flatgrad.facts.usage import BIAS, PRODUCTS
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Function,
    Loop,
    Operand,
    Relation,
    Step,
    Value,
    bound_values,
    every_step,
)

# The constant text that a key begins with: `'W' + str(_0)`, `'W%d' % _0`, `f'W{_0}'`, `'W{}'.format(_0)`.
_PREFIX = re.compile(r"f?(?P<quote>['\"])(?P<prefix>[A-Za-z]+(?:_(?=['\"%{]))?)(?=['\"%{])")
# Elements that are called vectors.
_VECTOR = re.compile(r"[uv]|\w*vec(tor)?")
# What lists of biases are called.
_BIASES = re.compile(r"(\w+_)?(bs|bias(es)?)")


def with_claimed_entries(lowered: Lowered, typed: Lowered) -> Lowered:
    """The function with `rank=2` on the entries that are taken for matrices and `columns=W` on those that are added.

    Args:
        lowered: as it was read.
        typed: the same with types.
    """
    plain, known = (list(every_step(one.function.block)) for one in (lowered, typed))
    claims = {
        position: claim
        for position, claim in (*_claims(typed), *_claims_of_lists(typed))
        if not plain[position].attrs.keys() & {"rank", "columns"}  # type: ignore[union-attr]
    }
    if not claims:
        return lowered
    as_read = {
        out: own
        for step, own_step in zip(known, plain, strict=True)
        for out, own in zip(bound_values(step), bound_values(own_step), strict=True)
    }
    attrs: dict[Step, Mapping[str, Attribute]] = {
        plain[position]: {name: as_read[one] if isinstance(one, Value) else one for name, one in claim.items()}
        for position, claim in claims.items()
    }
    return replace(lowered, function=Function(lowered.function.name, with_attrs(lowered.function.block, attrs)))


def _claims(typed: Lowered) -> Iterator[tuple[int, Mapping[str, Attribute]]]:
    """The entries, by their place among all steps, and what is claimed of each."""
    steps = list(every_step(typed.function.block))
    keys = {step.out: step for step in steps if isinstance(step, Relation) and step.gate == "opaque"}
    in_place = read_for_certain(typed.function.block)
    entries = {
        step.out: (position, key)
        for position, step in enumerate(steps)
        if step in in_place
        and isinstance(step, Relation)
        and step.gate == "entry"
        and len(step.args) == 2
        and isinstance(step.args[1], Value)
        and (key := keys.get(step.args[1])) is not None
    }
    producers = {step.out: step for step in steps if isinstance(step, Relation)}
    matrices: set[Value] = {out for out, (position, _) in entries.items() if "rank" in steps[position].attrs}  # type: ignore[union-attr]
    for step in steps:
        if not isinstance(step, Relation) or step.gate not in PRODUCTS:
            continue
        for given, other in (step.args, step.args[::-1]):
            turned = producers.get(given) if isinstance(given, Value) else None
            operand = turned.args[0] if turned is not None and turned.gate == "transpose" else given
            if not isinstance(operand, Value) or operand not in entries or operand.type.shape.rank is not None:
                continue
            rank = other.type.shape.rank if isinstance(other, Value) else None
            position, key = entries[operand]
            if rank in (None, 1, 2) and operand.type.shape.least_rank <= 2 and prefix(key)[:1].isupper():
                matrices.add(operand)
                yield position, {"rank": 2}
    for step in steps:
        if not isinstance(step, Relation) or step.gate != "add":
            continue
        for bias, product in (step.args, step.args[::-1]):
            made = producers.get(product) if isinstance(product, Value) else None
            weights = made.args[1] if made is not None and made.gate in PRODUCTS else None
            if not isinstance(bias, Value) or bias not in entries or weights not in matrices:
                continue
            assert isinstance(weights, Value)
            (position, key), (first, its_key) = entries[bias], entries[weights]
            if (
                first < position
                and BIAS.fullmatch(prefix(key))
                and bias.type.shape.rank is None
                and _alike(key, its_key)
            ):
                yield position, {"columns": weights}


def _claims_of_lists(typed: Lowered) -> Iterator[tuple[int, Mapping[str, Attribute]]]:
    """The same for elements of lists of arrays: `weights[i]` is taken for a matrix in a product, whatever the list is
    called, and what is added to that product for one number a column, as `biases[i]` and b in `for W, b in params`."""
    steps = list(every_step(typed.function.block))
    in_place = read_for_certain(typed.function.block)
    elements = {
        step.out: position
        for position, step in enumerate(steps)
        if step in in_place
        and isinstance(step, Relation)
        and step.gate == "entry"
        and step.attrs.get("list")
        and (step.out.name or step.span is not None)
    }
    producers = {step.out: step for step in steps if isinstance(step, Relation)}
    matrices = {out for out, position in elements.items() if "rank" in steps[position].attrs}  # type: ignore[union-attr]

    def element(given: Operand) -> Value | None:
        while isinstance(given, Value) and given not in elements:
            made = producers.get(given)
            if made is None or made.gate not in ("transpose", "alias"):
                return None
            given = made.args[0]
        return given if isinstance(given, Value) else None

    for step in steps:
        if not isinstance(step, Relation) or step.gate not in PRODUCTS:
            continue
        for given, other in (step.args, step.args[::-1]):
            operand = element(given)
            if operand is None or operand.type.shape.rank is not None or operand.type.shape.least_rank > 2:
                continue
            if (other.type.shape.rank if isinstance(other, Value) else None) in (None, 1, 2):
                vector = _VECTOR.fullmatch(operand.name)
                if vector is None:
                    matrices.add(operand)
                yield elements[operand], {"rank": 2 if vector is None else 1}
    for step in steps:
        if not isinstance(step, Relation) or step.gate != "add":
            continue
        for given, product in (step.args, step.args[::-1]):
            bias = element(given)
            made = producers.get(product) if isinstance(product, Value) else None
            weights = element(made.args[1]) if made is not None and made.gate in PRODUCTS else None
            if bias is None or bias.type.shape.rank is not None or weights not in matrices or made is None:
                continue
            if producers.get(made.args[1]) is not producers[weights] or not _is_bias(producers[bias]):  # type: ignore[arg-type]
                continue  # of a transpose the columns are the rows
            if elements[weights] < elements[bias]:
                yield elements[bias], {"columns": weights}
    inits = {
        carried: init
        for loop in steps
        if isinstance(loop, Loop)
        for carried, init in zip(loop.carried, loop.inits, strict=True)
    }
    for step in steps:
        if not isinstance(step, Relation) or step.gate != "add":
            continue
        for given, product in (step.args, step.args[::-1]):
            bias = element(given)
            made = producers.get(product) if isinstance(product, Value) else None
            if bias is None or bias.type.shape.rank is not None or made is None or made.gate not in PRODUCTS:
                continue
            # `np.dot(w, a) + b`: as many dims as a, of whose columns each is one case.
            rank = _rank(made.args[1], inits)
            if element(made.args[0]) in matrices and _is_bias(producers[bias]) and rank in (None, 1, 2):
                yield elements[bias], {"rank": rank or 2}


def _rank(operand: Operand, inits: Mapping[Value, Value]) -> int | None:
    """How many dims an operand has, or what a loop begins with in its place."""
    while isinstance(operand, Value) and operand.type.shape.rank is None and operand in inits:
        operand = inits[operand]
    return operand.type.shape.rank if isinstance(operand, Value) else None


def _is_bias(entry: Relation) -> bool:
    """Whether an element is called a bias, or its list is."""
    called = entry.args[0].name if isinstance(entry.args[0], Value) else ""
    return bool(BIAS.fullmatch(entry.out.name)) or bool(_BIASES.fullmatch(called)) or len(entry.args) > 2


def prefix(key: Relation) -> str:
    """The letters that a key begins with."""
    text = key.attrs.get("text")
    match = _PREFIX.match(text) if isinstance(text, str) else None
    return match["prefix"] if match is not None else ""


def _alike(key: Relation, other: Relation) -> bool:
    """Whether two keys differ in the letters that they begin with, and in nothing else."""
    texts = [str(one.attrs["text"]) for one in (key, other)]
    starts = [_PREFIX.match(text) for text in texts]
    rests = [text[match.end() :] if match is not None else text for text, match in zip(texts, starts, strict=True)]
    return key.args == other.args and rests[0] == rests[1]


def read_for_certain(block: Block) -> set[Step]:
    """The steps that are run whenever their statement is: those that a conditional expression or the condition of a
    loop holds are not."""
    found: set[Step] = set()
    for step in block.body:
        if isinstance(step, Branch | Loop):
            blocks = (step.body,) if isinstance(step, Loop) else step.arms
            inner = {one for part in blocks for one in read_for_certain(part)}
            # What a `for` binds it binds in every round, in front of all else.
            bound = isinstance(step, Loop) and bool(step.bounds)
            found |= {one for one in inner if bound or one.stage is not step.stage}
        found.add(step)
    return found


def with_attrs(block: Block, attrs: Mapping[Step, Mapping[str, Attribute]]) -> Block:
    def changed(step: Step) -> Step:
        match step:
            case Relation() if step in attrs:
                return replace(step, attrs={**step.attrs, **attrs[step]})
            case Loop():
                return replace(step, body=with_attrs(step.body, attrs))
            case Branch():
                return replace(step, then=with_attrs(step.then, attrs), orelse=with_attrs(step.orelse, attrs))
        return step

    return Block(block.params, tuple(changed(step) for step in block.body), block.results)
