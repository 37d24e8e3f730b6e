"""What a docstring says of parameters and results, in the styles that people use.

    - X: a minibatch of shape (N, D)          x : ndarray, shape (N, D)         :param x: array of shape (N, D)
    x (np.ndarray): (N, D) inputs             A -- activations, of shape (n, m)  The input x has shape (N, D)

A claim is checked when the program runs, so a wrong one makes valid code fail: what may be meant otherwise (`or`, `if`,
a list of arrays, `None`) is no claim.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flatgrad.frontend.described import describe, entries_of, names_in, sentences
from flatgrad.frontend.mentions import Mention, Text


@dataclass(slots=True)
class _Item:
    """`- x, y: what is said of them`, while its lines are gathered."""

    names: tuple[str, ...]
    indent: int
    is_result: bool
    text: Text
    owner: str = ""  # the parameter whose entries these are: its names are `params['W1']`


def read_docstring(lines: tuple[Text, ...], parameters: frozenset[str]) -> tuple[Mention, ...]:
    """What the lines of a docstring say of the parameters, and of the results that they name."""
    items, prose = _items(lines, parameters)
    found: list[Mention] = []
    for item in items:
        for name in item.names:
            if item.text.characters and (item.is_result or name in parameters or item.owner):
                mention = describe(name, item.text, item.is_result)
                # Of what a dict holds only shapes count: a number there may be left out, and have a default.
                if mention is not None and (not item.owner or (mention.shape is not None and mention.shape.least_rank)):
                    found.append(mention)
                if not item.is_result and not item.owner:
                    found += entries_of(name, item.text)
    for paragraph in prose:
        found += sentences(paragraph, parameters)
    return tuple(found)


# Lines into items

_NAME = r"[`*\"']{0,2}[A-Za-z_]\w*[`*\"']{0,2}"
_NAMES = rf"{_NAME}(?:\s*(?:,|/|&|\band\b)\s*{_NAME})*"
_TYPE = r"\((?:[^()]|\([^()]*\))*\)"
_ITEM = re.compile(
    rf"(?P<indent>\s*)(?P<bullet>[-*•+]\s*|:(?:param|type|parameter|arg)\s+(?:[\w.\[\]]+\s+)??|@param\s+)?"
    rf"(?P<names>{_NAMES})\s*(?P<rest>(?:{_TYPE}\s*)?(?::(?!:)|--|–|—|\s-\s|=(?!=)).*|{_TYPE}.*|)$"
)
_BARE = re.compile(
    rf"(?:{_TYPE}(?!\s*(?::|--|–|—)).*)?"
)  # `name`, `name (...) text`: an item only if it is a parameter
_PARAMETER_HEAD = re.compile(
    r"\s*(?:(?:keyword |other )?(?:inputs?|args?|arguments?|parameters?|params?)\b[\w\s/,]*(?:\([^)]*\))?\s*:?\s*$"
    r"|shapes?\s*:)",
    re.IGNORECASE,
)
_RESULT_HEAD = re.compile(
    r"\s*(?:(?:[-*:@]\s*)?(?:returns?|yields?|rtype)\b|(?:outputs?|results?|return values?)\s*(?::|$)"
    r"|[^.]*\breturns?\b[^.]*:\s*$)",
    re.IGNORECASE,
)
_OTHER_HEAD = re.compile(
    r"\s*(?:raises?|examples?|notes?|references?|see also|attributes|usage|warnings?|side effects|cache|todo|hints?)"
    r"\s*:?\s*$",
    re.IGNORECASE,
)


def _items(lines: tuple[Text, ...], parameters: frozenset[str]) -> tuple[list[_Item], list[Text]]:
    """The items of a docstring, and its other paragraphs that do not stand under `Returns`, `Raises` and the like."""
    items: list[_Item] = []
    prose: list[Text] = []
    section = "parameters"
    # The first line follows the quotes; where it would begin is seen from the others.
    margin = min((_indent(line) for line in lines[1:] if line.characters.strip()), default=0)
    item: _Item | None = None  # whose lines are being gathered
    owner: _Item | None = None  # a parameter whose description may hold items of its own, as a dict has keys
    paragraph = Text("", ())
    for number, line in enumerate(lines):
        characters = line.characters
        if not characters.strip():
            item = None
            prose, paragraph = _closed(prose, paragraph)
            continue
        match = _ITEM.match(characters)
        names = names_in(match["names"]) if match else ()
        says_parameter = match is not None and bool(parameters & set(names)) and bool(match["rest"].strip(" :"))
        head = None if says_parameter else _section(characters, number == 0)
        if head is not None:
            section, item, owner = head, None, None
            prose, paragraph = _closed(prose, paragraph)
            if head == "parameters":
                paragraph = line
            continue
        bare = match is None or _BARE.fullmatch(match["rest"]) is not None
        if match is not None and (parameters & set(names) or not bare):
            indent = len(match["indent"]) if number else margin
            prose, paragraph = _closed(prose, paragraph)
            item = None
            if section == "parameters" and "type" not in (match["bullet"] or ""):
                paragraph = line
            if owner is not None and indent > owner.indent:
                paragraph = Text("", ())
                if _is_dict(owner) and not bare:
                    text = line.part(match.start("rest")).stripped()
                    keys = tuple(f"{owner.names[0]}[{name!r}]" for name in names)
                    item = _Item(keys, indent, False, text, owner.names[0])
                    items.append(item)
                continue
            owner = None
            if section != "other":
                text = line.part(match.start("rest")).stripped()
                item = _Item(names, indent, section == "results", text)
                items.append(item)
                if parameters & set(names):
                    owner = item
            continue
        if owner is not None and _indent(line) <= owner.indent:
            owner = None
        listed = list(_LISTED.finditer(characters)) if owner is not None and _is_dict(owner) else []
        if owner is not None and listed:
            item = None
            for entry in listed:
                text = line.part(entry.start("rest"), entry.end("rest"))
                items.append(
                    _Item((f"{owner.names[0]}[{entry['key']!r}]",), _indent(line), False, text, owner.names[0])
                )
            continue
        if item is not None:
            item.text = item.text.then(line.stripped())
        elif owner is not None:
            continue
        if section == "parameters":
            paragraph = paragraph.then(line.stripped())
    prose, _ = _closed(prose, paragraph)
    return items, prose


_HOLDS = re.compile(r"[\s:(–—-]*(?:an?\s+|the\s+)?(?:python\s+)?dict(?:ionary)?\b", re.IGNORECASE)
# `W1 of shape (D, H), b1 of shape (H,)` in a line below a dict.
_LISTED = re.compile(r"(?<![\w.])(?P<key>[A-Za-z_]\w*)(?P<rest>\s+(?:of|with|has)\s+shape\s+\([^()]*\))")


def _is_dict(item: _Item) -> bool:
    return len(item.names) == 1 and _HOLDS.match(item.text.characters) is not None


def _indent(line: Text) -> int:
    return len(line.characters) - len(line.characters.lstrip())


def _closed(prose: list[Text], paragraph: Text) -> tuple[list[Text], Text]:
    return ([*prose, paragraph] if paragraph.characters.strip() else prose), Text("", ())


def _section(line: str, is_first: bool) -> str | None:
    """Which section a line opens, if it opens one. A summary line that begins with "Return" opens none."""
    if _PARAMETER_HEAD.match(line):
        return "parameters"
    if _RESULT_HEAD.match(line) and (not is_first or line.rstrip().endswith(":") or len(line.split()) == 1):
        return "results"
    return "other" if _OTHER_HEAD.match(line) else None
