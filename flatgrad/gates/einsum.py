"""Einstein summation: `np.einsum` with implicit and explicit results, repeated labels, broadcast dims and ellipses."""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass

from flatgrad.gates.axes import restoring_index
from flatgrad.gates.entry import Site, gate
from flatgrad.ir.dims import Dim, Shape

_ELLIPSIS = "..."
_GIVE_SHAPES = 'give the shapes of the operands, as in `x: "N D"`'


@dataclass(frozen=True, slots=True)
class Subscripts:
    """The labels of every operand and of the result. An ellipsis is `...` until `_labelled` puts letters there."""

    operands: tuple[str, ...]
    result: str

    @property
    def has_ellipsis(self) -> bool:
        return any(_ELLIPSIS in labels for labels in (*self.operands, self.result))


# Reading


def _read(site: Site) -> Subscripts:
    text = site.attrs["subscripts"]
    if not isinstance(text, str):
        raise site.refuse("the subscripts of np.einsum must be a constant string", 'write them out, as in "ij,jk->ik"')
    sides = text.replace(" ", "").split("->")
    operands = tuple(sides[0].split(","))
    if len(sides) > 2 or len(operands) != site.count:
        raise site.refuse(f"the subscripts {text!r} do not fit {site.count} operands")
    for labels in (*operands, *sides[1:]):
        letters = labels.replace(_ELLIPSIS, "", 1)
        if not all(letter in string.ascii_letters for letter in letters):
            raise site.refuse(f"the subscripts {text!r} are not understood")
    result = sides[1] if len(sides) == 2 else _implicit_result(operands)
    if not set(result) <= set(sides[0]) or any(result.count(letter) > 1 for letter in result if letter != "."):
        raise site.refuse(f"the subscripts {text!r} are not understood")
    return Subscripts(operands, result)


def _implicit_result(operands: tuple[str, ...]) -> str:
    """The ellipsis, then every label that occurs once, in the order of the alphabet."""
    letters = "".join(operands).replace(_ELLIPSIS, "")
    once = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return (_ELLIPSIS if any(_ELLIPSIS in labels for labels in operands) else "") + once


def _labelled(site: Site, subscripts: Subscripts) -> Subscripts | None:
    """The same with letters in the place of the ellipses; None where a rank is open."""
    if not subscripts.has_ellipsis:
        return subscripts
    used = set("".join((*subscripts.operands, subscripts.result)))
    free = [letter for letter in string.ascii_letters if letter not in used]
    hidden = []
    for k, labels in enumerate(subscripts.operands):
        rank = site.rank(f"x{k}")
        if rank is None:
            return None
        hidden.append(rank - len(labels.replace(_ELLIPSIS, "")) if _ELLIPSIS in labels else 0)
        if hidden[-1] < 0:
            raise site.refuse(f"{labels!r} has more labels than the operand has dimensions")
    # The dims of the ellipses are matched from the last: the letters of a shorter one are the end of a longer one's.
    letters = "".join(free[: max(hidden)])
    operands = tuple(
        labels.replace(_ELLIPSIS, letters[len(letters) - count :])
        for labels, count in zip(subscripts.operands, hidden, strict=True)
    )
    return Subscripts(operands, subscripts.result.replace(_ELLIPSIS, letters))


# Shapes


def _dims(site: Site, subscripts: Subscripts) -> dict[str, list[tuple[int, Dim]]]:
    """For each label, (operand, dim) wherever it stands."""
    found: dict[str, list[tuple[int, Dim]]] = {}
    for k, labels in enumerate(subscripts.operands):
        for label, dim in zip(labels, site.shape(f"x{k}").front, strict=True):
            found.setdefault(label, []).append((k, dim))
    return found


def _einsum_shape(site: Site) -> Shape:
    read = _read(site)
    for k, labels in enumerate(read.operands):
        if _ELLIPSIS not in labels:
            site.exact_rank(f"x{k}", len(labels))
    subscripts = _labelled(site, read)
    if subscripts is None:
        return site.unknown()
    for k, labels in enumerate(subscripts.operands):
        dims: dict[str, Dim] = {}
        # Within one operand a label stands for one length; between operands a length of 1 broadcasts.
        for label, dim in zip(labels, site.shape(f"x{k}").front, strict=True):
            site.same_dim(dims.setdefault(label, dim), dim)
    found = _dims(site, subscripts)
    return Shape(tuple(dim for label in subscripts.result for dim in _merged(site, found[label]).front))


def _merged(site: Site, places: list[tuple[int, Dim]]) -> Shape:
    return site.broadcast(*(Shape((dim,)) for dim in dict.fromkeys(dim for _, dim in places)))


# Backward


@dataclass(frozen=True, slots=True)
class Source:
    """A factor of a gradient: the text of an array, and a label for each of its axes."""

    text: str
    labels: str


def _einsum_backward(site: Site, k: int) -> str:
    read = _read(site)
    subscripts = _labelled(site, read)
    if subscripts is None:
        return _of_open_rank(site, read, k)
    for j, labels in enumerate(subscripts.operands):
        if len(site.shape(f"x{j}").front) != len(labels):
            # What the line enforces of its operands is known outside of the loop or branch around it only if claimed.
            raise site.refuse("how many dimensions the operands of this np.einsum have is not known", _GIVE_SHAPES)
    own, dims = subscripts.operands[k], _source_dims(site, subscripts, k)
    lengths = dict(zip(own, site.shape(f"x{k}").front, strict=True))
    missing = [label for label in lengths if not dims[label]]
    short = [label for label in lengths if dims[label] and not _reaches(lengths[label], dims[label])]
    summed = any(not _fits(lengths[label], dims[label]) for label in lengths)
    sources = [Source("dz", subscripts.result)] if subscripts.result else []
    sources += [Source(f"x{j}", labels) for j, labels in enumerate(subscripts.operands) if j != k]
    if len(own) > len(lengths):
        # np.einsum reads a diagonal but writes none: identity matrices put the second labels in.
        out, twins = _with_twins(subscripts, k)
        identities = [Source(f"np.eye({_length(k, own, label)}, dtype=bool)", label + twin) for label, twin in twins]
        single = [label for label in (*missing, *short) if own.count(label) == 1]
        spelling = _contracted(subscripts, [*sources, *_ones(k, own, single), *identities], out)
    elif missing and not summed:
        kept = "".join(label for label in own if label not in missing)
        inner = _contracted(subscripts, [*sources, *_ones(k, own, short)], kept)
        index = restoring_index(tuple(own.index(label) for label in missing), len(own))
        inner = f"({inner}){index}" if index and " " in inner else inner + index
        spelling = f"np.broadcast_to({inner}, np.shape(x{k}))"
    else:
        spelling = _contracted(subscripts, [*sources, *_ones(k, own, [*missing, *short])], own)
    return f"unbroadcast({spelling}, x{k})" if summed else spelling


def _source_dims(site: Site, subscripts: Subscripts, k: int) -> dict[str, list[Dim]]:
    """For each label of operand k, dims whose broadcast is the length that the other factors give it."""
    found = _dims(site, subscripts)
    return {
        label: [dim for j, dim in found[label] if j != k or label in subscripts.result]
        for label in subscripts.operands[k]
    }


def _reaches(length: Dim, dims: list[Dim]) -> bool:
    """The broadcast of the dims is not 1 where the length is more."""
    return length in dims or length.constant == 1


def _fits(length: Dim, dims: list[Dim]) -> bool:
    """The broadcast of the dims is not more than the length."""
    return length.constant not in (None, 1) or all(dim == length or dim.constant == 1 for dim in dims)


def _length(k: int, own: str, label: str) -> str:
    return f"np.shape(x{k})[{own.index(label)}]"


def _ones(k: int, own: str, labels: Iterable[str]) -> list[Source]:
    """Factors that change no number, and give these labels their whole length."""
    return [Source(f"np.ones({_length(k, own, label)}, dtype=bool)", label) for label in labels]


def _with_twins(subscripts: Subscripts, k: int) -> tuple[str, list[tuple[str, str]]]:
    """The labels of operand k without a repetition, and (label, new label) for each place where one was."""
    used = set("".join((*subscripts.operands, subscripts.result)))
    free = (letter for letter in string.ascii_letters if letter not in used)
    out, twins = "", []
    for label in subscripts.operands[k]:
        if label in out:
            twins.append((label, next(free)))
            label = twins[-1][1]
        out += label
    return out, twins


def _contracted(subscripts: Subscripts, sources: list[Source], out: str) -> str:
    """The product of the sources, summed down to the labels of `out`; a scalar dz stands before it."""
    product = _product(sources, out)
    if subscripts.result:
        return product
    return f"dz * {product}" if product else "dz"


def _product(sources: list[Source], out: str) -> str:
    if all(source.labels == out for source in sources) and len(sources) <= 2:
        return " * ".join(source.text for source in sources)
    if len(out) == 2 and sources == [Source("dz", out[::-1])]:
        return "dz.T"
    labels = ",".join(source.labels for source in sources)
    return f'np.einsum("{labels}->{out}", {", ".join(source.text for source in sources)})'


def _of_open_rank(site: Site, read: Subscripts, k: int) -> str:
    """The gradient where an ellipsis stands for nobody knows how many dims: they come first in it, and are summed."""
    own = read.operands[k].removeprefix(_ELLIPSIS)
    if _ELLIPSIS in own or len(set(own)) < len(own) or _ELLIPSIS not in read.result:
        raise site.refuse("how many dimensions the ellipsis stands for is not known", _GIVE_SHAPES)
    sources = [Source("dz", read.result)]
    sources += [Source(f"x{j}", labels) for j, labels in enumerate(read.operands) if j != k]
    for place, label in enumerate(own):
        if label not in read.result:
            sources.append(Source(f"np.ones(np.shape(x{k})[{place - len(own)}], dtype=bool)", label))
    return f"unbroadcast({_product(sources, _ELLIPSIS + own)}, x{k})"


gate(
    "np.einsum(subscripts, *xs, optimize=False)",
    view=True,  # a diagonal or a transpose of one operand
    backward={"xs": _einsum_backward},
    shape=_einsum_shape,
    convention="subscripts as one constant string; the form with lists of integers is not understood",
    numeric_only="a symbol times a Boolean is nothing to SymPy",
    samples={
        "lists": False,
        "cases": [
            ((shapes,), {"subscripts": subscripts})
            for subscripts, shapes in [
                ("ij,jk->ik", ((2, 3), (3, 2))),
                ("ij,jk", ((2, 3), (3, 2))),
                ("ij,jk,kl->il", ((2, 3), (3, 2), (2, 2))),
                ("i,i->", ((3,), (3,))),
                ("i,j->ij", ((3,), (2,))),
                ("i,j->", ((3,), (2,))),
                ("ij->ji", ((2, 3),)),
                ("ijk->kij", ((2, 3, 2),)),
                ("ba", ((2, 3),)),
                ("ij->i", ((2, 3),)),
                ("ij->j", ((2, 3),)),
                ("ij->", ((2, 3),)),
                ("ijk->ki", ((2, 3, 2),)),
                ("ij,jk->k", ((2, 3), (3, 2))),
                ("ij,k->k", ((2, 3), (2,))),
                ("ii", ((3, 3),)),
                ("ii->i", ((3, 3),)),
                ("iij->j", ((2, 2, 3),)),
                ("iii->i", ((2, 2, 2),)),
                ("ii,ij->j", ((2, 2), (2, 3))),
                ("iji,k->jk", ((2, 3, 2), (2,))),
                ("ij,ij->ij", ((1, 3), (2, 3))),
                ("ij,ij->j", ((1, 3), (2, 1))),
                ("ij,jk->ik", ((2, 1), (3, 2))),
                ("ijl,jk->ik", ((2, 1, 2), (3, 2))),
                ("ii,i->i", ((1, 1), (3,))),
                (",ij->ij", ((), (2, 3))),
                ("...ij,...jk->...ik", ((2, 2, 3), (3, 2))),
                ("...ij,...jk->...ik", ((2, 1, 2, 3), (2, 3, 1))),
                ("i...,...j->...ij", ((2, 3), (3, 2))),
                ("...i->...", ((2, 3),)),
                ("...i,i", ((2, 3), (3,))),
                ("ij,...j->...i", ((2, 3), (2, 2, 3))),
                ("b...,b...->b...", ((2, 3, 1), (2, 3))),
                ("ij,ik,il->jkl", ((2, 2), (2, 1), (2, 3))),
            ]
        ],
    },
)
