"""What a comment behind an assignment says of the shape of what is assigned."""

from __future__ import annotations

import re

from flatgrad.frontend.claim import Claim
from flatgrad.frontend.mentions import Text
from flatgrad.frontend.shapetext import GROUP, TIMES, Unreadable, is_shape_like, kind_of, read_shape
from flatgrad.ir.core import DType

_WORD_SHAPE = re.compile(rf"(?:has |of |with )?shapes?\s*(?:is|of|=|:)?\s*{GROUP}", re.IGNORECASE)
# `one slope for each channel, shape (C,)`
_LAST_SHAPE = re.compile(rf"[,;:.(–—-]\s*(?:of |has |with )?(?-i:shape)\s*(?:is|=|:)?\s*{GROUP}(?=\)?\s*$)")
_PRODUCT = re.compile(rf"\w+(?:(?:{TIMES.pattern})\w+)+|[A-Z\d](?:x[A-Z\d])+")
_OPERATOR = re.compile(
    r"\s*(?:[@*+/|&=→-]|->|[x×]\s|dot\b|or\b|by\b|times\b|if\b|and\b|for each\b|each\b|per\b|in\b)", re.IGNORECASE
)


def read_comment(name: str, comment: Text) -> Claim | None:
    """What a comment behind an assignment to `name` says of its shape: `# (N, H)`, `# shape (N,)`, `# h: (N, H)`,
    `# N x H`, `# (N, D) @ (D, H) -> (N, H)`."""
    text = comment.part(1).stripped()
    words = text.characters
    if re.search(r"\bor\b|\bNone\b", words):
        return None
    arrow = re.search(rf"(?:->|=>|→)\s*{GROUP}\s*$", words)
    if arrow is not None:
        return _commented(name, text, arrow.start(), arrow.end(), arrow["inner"], strict=True)
    named = re.match(rf"{re.escape(name)}\b(?:\.shape)?\s*(?:has|is|[:=])?=?\s*", words)
    start = named.end() if named else 0
    word = _WORD_SHAPE.match(words, start)
    group = re.compile(GROUP).match(words, start)
    product = _PRODUCT.match(words, start)
    last = _LAST_SHAPE.search(words) if group is None else None
    if word is not None:
        return _commented(name, text, start, word.end(), word["inner"], strict=False)
    if last is not None and not re.search(r"\bif\b|\bsame\b", words):
        return _commented(name, text, last.start(), last.end(), last["inner"], strict=True)
    if group is not None:
        return _commented(name, text, start, group.end(), group["inner"], strict=True)
    if product is not None:
        return _commented(name, text, start, product.end(), product.group(), strict=True)
    return None


def _commented(name: str, text: Text, start: int, end: int, inner: str, strict: bool) -> Claim | None:
    rest = text.characters[end:]
    if _OPERATOR.match(rest) or any(is_shape_like(match["inner"]) for match in re.finditer(GROUP, rest)):
        return None
    if strict and not is_shape_like(inner):
        return None
    try:
        shape = read_shape(inner, name)
    except Unreadable:
        return None
    dtype = re.match(r"\s*,?\s*(int|bool)(?:eger|ean)?s?\b", rest)
    said = {"int": DType.INT, "bool": DType.BOOL}[dtype.group(1)] if dtype else None
    return Claim(name, shape, said, kind_of(shape), text.span(start, end), "comment", text.characters[start:end])
