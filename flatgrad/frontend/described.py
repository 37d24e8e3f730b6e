"""What is said of one name: `a minibatch of shape (N, D)`, `array of size n x m`, `the input x has shape (N, D)`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from flatgrad.frontend.mentions import Mention, Text
from flatgrad.frontend.shapetext import (
    GROUP,
    TIMES,
    KindName,
    Unreadable,
    is_dim_like,
    is_shape_like,
    is_size_like,
    kind_of,
    read_shape,
)
from flatgrad.ir.core import DType
from flatgrad.ir.dims import SCALAR, Dim, Shape

# Between a name and what is said of it.
SEPARATOR = re.compile(r"\s*(?::|--|–|—|-\s|=)\s*")
_ARRAY = r"(?:array|ndarray|matrix|vector|tensor)"
_KEYWORD = re.compile(
    rf"(?<![.\w])shapes?\b(?!\[)\s*(?:is|are|of|==?|:)?\s*[`'\"]*{GROUP}"
    rf"|\b{_ARRAY}\s+(?:of|with)\s+(?:size|dimensions?|dims)\s+{GROUP.replace('inner', 'sized')}",
    re.IGNORECASE,
)
# What may be something else is a shape where it looks like one: `of size (n_x, m)`, `input (N x D)`, `ndarray[N, D]`,
# `the activations: (size of the layer, number of examples)`.
_LOOSE = re.compile(
    rf"\b(?:sizes?|dimensions?|dims)\s*(?:is|are|of|==?|:)?\s*[`'\"]*{GROUP}"
    r"|\b(?:nd)?array\[(?P<typed>[^()\[\]]*)\]|\bTensor\[(?P<tensor>[^()\[\]]*)\]"
    rf"|(?:\b(?:inputs?|data|weights?|bias(?:es)?|scores|labels|activations|logits|features|{_ARRAY})|[:–—]|--)\s*"
    rf"{GROUP.replace('inner', 'behind')}(?=\s*(?:$|[.;\n]))",
    re.IGNORECASE,
)
_PARTS = r"(?:images?|pictures?|patch(?:es)?|windows?|kernels?|samples?|examples?|rows?|columns?|points?|batch(?:es)?)"
_OF_PARTS = re.compile(rf"\b{_PARTS}\b[\s,]*(?:of|with|in|that are)?\s*$", re.IGNORECASE)
_HEAD = re.compile(rf"(?:(?:\([^()]*\b{_ARRAY}[^()]*\)|[\w.\- ]*\b{_ARRAY}(?:[-_]like)?)\s*[,:]?\s*)?{GROUP}")
# `[n_dim_state] array`, in which nothing but dims stands between the brackets.
_BRACKETED = re.compile(rf"\[(?P<inner>[^()\[\]{{}}]+)[\]}}]\s+(?:numpy\s+|np\.)?{_ARRAY}\b")
_FACTOR = r"[A-Za-z0-9_]+"
_PRODUCT = re.compile(
    rf"(?<![\w,(])(?P<inner>{_FACTOR}(?:(?:{TIMES.pattern}){_FACTOR})+|[A-Z](?:x[A-Z0-9])+)(?=\s+(?:numpy\s+)?{_ARRAY}\b)"
)
_BARE_PRODUCT = re.compile(
    rf"(?P<inner>{_FACTOR}(?:(?:{TIMES.pattern}){_FACTOR})+|[A-Z](?:x[A-Z0-9])+)(?=\s*(?:$|[.,;(\n]))"
)
_LENGTH = re.compile(
    rf"\b(?:vector|array)\s+(?:of|with)\s+(?:length|size|dimension)\s+(?P<of>{_FACTOR})(?=\s*(?:$|[.,;:)\n]))"
    rf"|\b(?:vector|array)\s+of\s+(?P<count>[A-Z]\w*)\s+(?:elements|numbers|values|entries|floats)\b"
    rf"|(?<![\w-])(?P<dim>[A-Z]\w*)-(?:dimensional|dim)\s+vector\b|\blength[- ](?P<long>[A-Z]\w*)\s+(?:vector|array)\b",
)
_RANK = re.compile(
    r"(?<![\w-])(?P<rank>[1-4]|one|two|three|four)[- ]?(?:[dD]|dimensional)\s+(?:(?:numpy|np|float|integer)\s+)?"
    r"(?P<noun>array|ndarray|np\.ndarray|matrix|tensor)\b|(?<![\w-])1[- ]?[dD] vector\b",
)
_RANKS = MappingProxyType({"one": 1, "two": 2, "three": 3, "four": 4})
_MANY = r"lists?|tuples?|sequences?|dict|dictionary|iterable|each|every|pairs?"
_CHANGED = r"reshap\w*|flatten\w*|broadcast\w*|cast|convert\w*|transpos\w*|squeez\w*|expand\w*|tiled?|repeat\w*|pad\w*"
_EXAMPLE = r"e\.g\.?|for example|for instance|such as|usually|typically|may|might|can|could|at least|at most"
_NOT_BEFORE = re.compile(
    rf"\b(?:{_MANY}|{_CHANGED}|{_EXAMPLE}|if|when|unless)\b|\b(?:same|to|into|from|as|like|not)\s+(?:an?\s+|the\s+)?$"
    r"|\b(?:rows?|columns?|elements?|entries)\s+$|(?:\b(?-i:[B-Z])|\b\d+|\bnum\w*)\s+\w+s,?\s+(?:of\s+)?$",
    re.IGNORECASE,
)
# `(containing 0 if it is none, 1 if it is one)`: what a bracket goes into says nothing of when there is a shape.
_REMARK = re.compile(r"\((?!\s*(?:if|when|unless|optional|for|in)\b)(?:\w+ing|with|where|[A-Z])\b[^()]*\)")
_NUMBER_OR = re.compile(
    r"\b(?:float|int|integer|scalar|number|str|string|callable|function)\b.*\bor\b|\bor\b.*\bscalar\b"
)
_NOT_AFTER = re.compile(r"\s*[,;]?\s*(?:(?:or|and/or|if|when|unless|in case|during)\b|[/|]|and\s*[(\[])", re.IGNORECASE)
_NOWHERE = re.compile(r"\bNone\b|\b(?:otherwise|else|depend\w*|either|alternatively|any shape|broadcast\w*)\b")
_INTEGER = re.compile(
    r"\b(?:integers?|int|int32|int64|uint8)\b(?:[- ]valued)?\s+(?:numpy\s+|class\s+)?"
    r"(?:arrays?|ndarrays?|vectors?|matrix|tensors?|labels?|indices|index|ids)\b"
    rf"|\b(?:{_ARRAY}|labels|indices)\s+of\s+(?:ints?|integers?)\b|\bdtype\s*[=:]?\s*(?:np\.)?int",
    re.IGNORECASE,
)
# Where a text goes on to speak of something else: the next parameter, or what this one's elements belong to.
_ELSEWHERE = re.compile(r"[,;]\s*[A-Za-z_]\w*\s*(?::|--)|\b(?:of the|for each|for every|one for|per)\b")
_BOOLEAN = re.compile(
    rf"\bbool(?:ean)?\s+(?:numpy\s+)?(?:{_ARRAY}|mask)\b|\b{_ARRAY}\s+of\s+bool(?:ean)?s?\b|\bdtype\s*[=:]?\s*(?:np\.)?bool",
    re.IGNORECASE,
)


def describe(name: str, text: Text, is_result: bool = False) -> Mention | None:
    """What a description says of a name: its shape, or that it is a scalar, a dict, a list."""
    characters = text.characters
    if _NOWHERE.search(characters):
        return None
    where = _shape_in(name, characters)
    if where is not None:
        start, end, shape = where
        # What is like an array may come as a list.
        kind = None if re.search(r"\barray[-_ ]like\b", characters) else kind_of(shape)
        return Mention(name, shape, _dtype(characters), kind, text.span(start, end), characters[start:end], is_result)
    return None if is_result else _described(name, text)


def _dtype(characters: str) -> DType | None:
    # Never FLOAT: an array that is said to hold floats may still come as integers, and nothing would check it.
    characters = _ELSEWHERE.split(characters, maxsplit=1)[0]
    if _BOOLEAN.search(characters):
        return DType.BOOL
    return DType.INT if _INTEGER.search(characters) else None


def _shape_in(name: str, characters: str) -> tuple[int, int, Shape] | None:
    """The one shape that a description gives, with its place."""
    found: list[tuple[int, int, Shape]] = []
    opening = SEPARATOR.match(characters)
    begin = opening.end() if opening else 0
    head = _HEAD.match(characters, begin)
    if head is not None and is_shape_like(head["inner"]):
        _add(found, name, head.start("inner") - 1, head.end(), head["inner"], False)
    bracketed = _BRACKETED.match(characters, begin)
    if bracketed is not None and all(is_dim_like(part.strip()) for part in bracketed["inner"].split(",")):
        _add(found, name, bracketed.start(), bracketed.end(), bracketed["inner"], False)
    for match in _KEYWORD.finditer(characters):
        group = "inner" if match["inner"] is not None else "sized"
        _add(found, name, match.start(), match.end(), match[group], True)
    for match in _PRODUCT.finditer(characters):
        if is_shape_like(match["inner"]):
            _add(found, name, match.start(), match.end(), match["inner"], False)
    product = _BARE_PRODUCT.match(characters, begin)
    if product is not None and is_shape_like(product["inner"]):
        _add(found, name, product.start(), product.end(), product["inner"], False)
    for match in _LOOSE.finditer(characters):
        inner = next(group for group in match.groups() if group is not None)
        if is_size_like(inner) and not _OF_PARTS.search(characters[: match.start()]):
            _add(found, name, match.start(), match.end(), inner, True)
    if not found:
        found += _counted_dims(name, characters)
    if not found:
        return None
    found.sort(key=lambda place: place[:2])
    start, end, shape = found[0]
    before, after = characters[:start], characters[end:]
    before = _REMARK.sub("", before)
    before = re.sub(r"\b(?:of|with|has|have|in|and|is|a|an)\s*$", "", before.rstrip()).rstrip() + " "
    # `N rows, of shape (N, M)` is the shape of all of them.
    counted = re.search(r"\b([B-Z]) \w+s, (?:of )?$", before)
    if counted is not None and shape.rank != 1 and [str(dim) for dim in shape.front].count(counted[1]) == 1:
        before = before[: counted.start()] if str(shape.front[0]) == counted[1] else before
    if _NOT_BEFORE.search(before) or _NUMBER_OR.search(before) or _NOT_AFTER.match(after):
        return None
    for other_start, _, other in found[1:]:
        if other != shape and not re.search(r"\bwhere\b|\beach\b|[.;]", characters[end:other_start]):
            return None
    return found[0]


def _counted_dims(name: str, characters: str) -> Iterator[tuple[int, int, Shape]]:
    """`a vector of length N`, `a D-dimensional vector`, `a 2D array`."""
    for match in _LENGTH.finditer(characters):
        inner = next(group for group in match.groups() if group is not None)
        if is_dim_like(inner) and not re.search(r"\b(?:column|row)\s+$", characters[: match.start()]):
            yield match.start(), match.end(), Shape((Dim.symbol(inner),))
            return
    for match in _RANK.finditer(characters):
        if not re.search(r"(?:\bor|/)\s*$", characters[: match.start()]):
            rank = match["rank"] or "1"
            count = _RANKS.get(rank) or int(rank)
            yield match.start(), match.end(), Shape(tuple(Dim.symbol(f"{name}.{axis}") for axis in range(count)))
            return


def _add(found: list[tuple[int, int, Shape]], name: str, start: int, end: int, inner: str, phrases: bool) -> None:
    try:
        shape = read_shape(inner, name, phrases)
    except Unreadable:
        return
    if not any(first <= start < last for first, last, _ in found):
        found.append((start, end, shape))


_TYPED = re.compile(
    r"[\s:(\-–—]*(?:an?\s+|the\s+)?(?:python\s+|numpy\s+|np\.)?"
    r"(?P<type>float(?:16|32|64)?|double|int(?:32|64)?|integer|scalar|bool|boolean|dict|dictionary|mapping|list|tuple"
    r"|str|string|callable|function)\b[ \t]*(?P<after>[\w\[]*)",
    re.IGNORECASE,
)
_AT_THE_END = re.compile(r"[,:;(–—]\s*(?:an?\s+|one\s+)?(?P<type>scalar|float|real number)\s*\)?\s*[.;]?\s*$")
_TYPED_AFTER = frozenset({"", "value", "number", "parameter", "scalar"})
_CONTAINER_AFTER = frozenset({"", "of", "with", "containing", "mapping", "that", "from", "holding"})
_QUANTITY = re.compile(
    r"\b(?:scalar|float|strength|rate|constant|coefficient|factor|epsilon|number)\b"
    r"(?=\s*(?:$|[.,;:()]|(?:of|for|in|on|to|used|that|which|by|with|applied|giving|controlling|between|added|value"
    r"|parameter)\b))",
    re.IGNORECASE,
)
# What stands before the quantity must leave it the head of the phrase: not `labels for a number of samples`.
_PHRASE = re.compile(
    r"[\s:\-–—]*(?:\([^()]*\)[\s:]*)?(?:(?!(?:of|for|with|to|in|on|by|from|that|at|as)\b)[\w-]+\s+){0,4}"
)
_NO_SCALAR = re.compile(
    rf"\b(?:shapes?|{_ARRAY}s?|matrices|array[-_]like|lists?|dict|dictionary|tuples?|sequences?|each|per|every|batch"
    r"|element-?wise|elements?|entries|values|images?|functions?|callable|strings?|pairs?|or|one for|dimension\w*)\b"
    r"|\b\w*-?(?:array|vector|matrix)\b",
    re.IGNORECASE,
)


def _described(name: str, text: Text) -> Mention | None:
    """A parameter without a shape: typed (`(float) ...`, `x : int`), or a number by what it is called."""
    characters = text.characters
    typed = _TYPED.match(characters)
    if typed is not None:
        word, after = typed["type"].lower(), typed["after"]
        span, spelt = text.span(typed.start("type"), typed.end("type")), typed["type"]
        certain = not re.search(r"\bor\b|\|", characters)
        if word in _CONTAINERS:
            if certain and after in _CONTAINER_AFTER:
                return Mention(name, None, None, _CONTAINERS[word], span, spelt)
            return None
        if after in _TYPED_AFTER and not _NO_SCALAR.search(characters):
            dtype = DType.BOOL if word.startswith("bool") else DType.INT if word.startswith("int") else None
            return Mention(name, SCALAR, dtype, "scalar", span, spelt)
    last = _AT_THE_END.search(characters)
    if last is not None and not _NO_SCALAR.search(characters):
        return Mention(name, SCALAR, None, "scalar", text.span(*last.span("type")), last["type"])
    quantity = _QUANTITY.search(characters)
    if quantity is None or not _PHRASE.fullmatch(characters[: quantity.start()]) or _NO_SCALAR.search(characters):
        return None
    return Mention(name, SCALAR, None, "scalar", text.span(*quantity.span()), quantity.group(), certain=False)


_KEYS = re.compile(
    r"[\s:(\-–—]*(?:an?\s+|the\s+)?(?:python\s+)?dict(?:ionary)?\s+(?:of|with|containing|holding)\s+(?:the\s+)?"
    r"(?:(?:keys?|entries|arrays|parameters|fields)\s*:?\s+)?(?P<list>.*)",
    re.IGNORECASE | re.DOTALL,
)
_KEY = re.compile(r"[`'\"]*(?P<key>[A-Za-z_]\w*)[`'\"]*:?\s*(?:of shape\s+)?(?P<shape>\([^()]*\))?[.;]?")
# What is an array rather than a number, and has a shape that nobody wrote down.
_MAY_BE_ARRAY = re.compile(r"[A-Z].*|b(?:ias\w*|_?\w)?")


def entries_of(name: str, text: Text) -> Iterator[Mention]:
    """The entries in `dict with k (M,), beta, g, shift (3,) and gamma`: what has no shape there is a number."""
    match = _KEYS.match(text.characters)
    if match is None or _NOWHERE.search(text.characters) or _UNLESS.search(text.characters):
        return
    parts = [_KEY.fullmatch(part.strip()) for part in re.split(r",(?![^()]*\))(?:\s*and\b)?|\band\b", match["list"])]
    keys = [part for part in parts if part is not None]
    shaped = [part for part in keys if part["shape"] is not None]
    if len(keys) < len(parts) or not shaped or not all(_is_tuple(part["shape"][1:-1]) for part in shaped):
        return
    numbers = not any(part["shape"] is None and _MAY_BE_ARRAY.fullmatch(part["key"]) for part in keys)
    for part in keys:
        entry = f"{name}[{part['key']!r}]"
        try:
            shape = SCALAR if part["shape"] is None else read_shape(part["shape"][1:-1], entry)
        except Unreadable:
            continue
        if part["shape"] is not None or numbers:
            place = text.span(match.start("list"), match.end("list"))
            yield Mention(entry, shape, None, kind_of(shape) or "scalar", place, part.group())


def _is_tuple(inner: str) -> bool:
    return not inner.strip() or ("," in inner and _has_only_dims(inner))


_CONTAINERS: Mapping[str, KindName] = MappingProxyType(
    {
        "dict": "dict",
        "dictionary": "dict",
        "mapping": "dict",
        "list": "list",
        "tuple": "other",
        "str": "other",
        "string": "other",
        "callable": "other",
        "function": "other",
    }
)
# Sentences

_UNLESS = re.compile(
    r"\b(?:if|when|whether|unless|suppose|each|every|or|e\.g|gradients?|derivatives?|output|returns?)\b", re.IGNORECASE
)
# What may stand before `x (N, D)`: in `the label of x (N,)` the shape is not that of x.
_BEFORE_TERSE = re.compile(r"(?:^|[,;:.(]|\b(?:and|from|inputs?|takes|given|with|where))\s*$", re.IGNORECASE)


def sentences(paragraph: Text, parameters: frozenset[str]) -> Iterator[Mention]:
    """`x has shape (N, D)`, `x is an array of inputs, of shape (N, D)`, `x and y are N x D arrays`, `t is a list of
    integers`, and the terse `x (N, D), w: (D, M), reg ()`."""
    if not parameters:
        return
    characters = paragraph.characters
    if _NOWHERE.search(characters):
        return
    one = rf"[`*]{{0,2}}(?:{'|'.join(sorted(parameters, key=len, reverse=True))})[`*]{{0,2}}"
    names = rf"(?<![\w.\])])(?P<names>{one}(?:\s*(?:,\s*(?:and\s+)?|\s+and\s+|/){one})*)"
    noun = r"(?P<noun>an?\s+[\w ]+,?\s+)?"
    said = rf"{names}\s+(?:has|have|is|are)\s+(?:both\s+)?{noun}(?:of\s+)?shapes?\s+(?:of\s+)?{GROUP}"
    sized = rf"{names}\s+(?:has|have|is|are)\s+{noun}(?:of\s+)?(?:sizes?|dimensions?)\s+(?:of\s+)?{GROUP}"
    product = rf"{names}\s+(?:is|are)\s+(?:an?\s+)?{_PRODUCT.pattern}"
    plain = rf"{names}(?:\s+(?:is|are)\s+|:\s*)(?:an?\s+)?{_BARE_PRODUCT.pattern}"
    terse = rf"{names}(?:\.shape)?(?:\s+|\s*:\s*|\s+is\s+|\s*==?\s*){GROUP}(?P<dtype>\s+(?:int|bool)\b)?"
    number = rf"{names}(?::\s*|\s+is\s+|\s+)(?:an?\s+)?scalar\b(?=\s*(?:$|[.,;)\n]))"
    in_shapes = re.match(r"\s*shapes?\s*:", characters, re.IGNORECASE) is not None
    integers = rf"{names}\s+(?:is|are)\s+(?:both\s+|all\s+)?(?:an?\s+)?lists?\s+of\s+(?:integers|ints)\b"
    for match in re.finditer(integers, characters):
        sentence = re.split(r"[.!?]\s", characters[: match.start()])[-1]
        if not _UNLESS.search(sentence) and not _NOT_AFTER.match(characters[match.end() :]):
            for name in names_in(match["names"]):
                dims = Shape((Dim.symbol(f"{name}.0"),))
                yield Mention(name, dims, DType.INT, "list", paragraph.span(*match.span()), match.group())
    for match in re.finditer(number, characters):
        sentence = re.split(r"[.!?]\s", characters[: match.start()])[-1]
        if not _UNLESS.search(sentence) and _BEFORE_TERSE.search(characters[: match.start()]):
            for name in names_in(match["names"]):
                yield Mention(name, SCALAR, None, "scalar", paragraph.span(*match.span()), match.group())
    for pattern in (said, sized, product, plain, terse):
        for match in re.finditer(pattern, characters):
            before, inner = characters[: match.start()], match["inner"]
            noun_words = match.groupdict().get("noun") or ""
            if _NOT_BEFORE.search(noun_words) or _UNLESS.search(noun_words):
                continue
            if pattern in (product, sized, plain) and not is_shape_like(inner):
                continue
            if pattern is plain and not _BEFORE_TERSE.search(before):
                continue
            sentence = re.split(r"[.!?]\s", re.sub(r"^\s*Gradients? from\b", "", before))[-1]
            if _UNLESS.search(sentence) or _NOT_AFTER.match(characters[match.end() :]):
                continue
            if pattern is terse and not _BEFORE_TERSE.search(before):
                continue
            if pattern is terse and not (is_shape_like(inner) or (in_shapes and _has_only_dims(inner))):
                continue
            dtype = {"int": DType.INT, "bool": DType.BOOL}.get((match.groupdict().get("dtype") or "").strip())
            for name in names_in(match["names"]):
                try:
                    shape = read_shape(inner, name)
                except Unreadable:
                    continue
                yield Mention(name, shape, dtype, kind_of(shape), paragraph.span(*match.span()), match.group())


def names_in(names: str) -> tuple[str, ...]:
    """The names in `x, y and z`."""
    return tuple(name for name in re.findall(r"\w+", names) if name != "and")


def _has_only_dims(inner: str) -> bool:
    """Whether there is nothing but dims between commas: no words."""
    return all(is_dim_like(part.strip()) for part in inner.rstrip(", ").split(",")) if inner.strip() else True
