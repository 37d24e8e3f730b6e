"""Random subscripts for np.einsum: repeated labels, labels summed out of one operand, dims of 1, ellipses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.gates.entry import TABLE
from flatgrad.proving import concrete_site, drawing, rules
from flatgrad.proving.checks import check_env
from flatgrad.proving.drawing import Case

EINSUM = TABLE["einsum"]


def random_call(rng: np.random.Generator) -> tuple[str, tuple[tuple[int, ...], ...]]:
    """Subscripts and the shapes of operands for them; some are not legal."""
    sizes = {label: int(rng.integers(2, 4)) for label in "ijkA"}
    hidden = [int(n) for n in rng.integers(2, 4, size=2)]
    with_ellipsis = rng.random() < 0.35
    operands, shapes = [], []
    for _ in range(rng.integers(1, 4)):
        labels = [str(label) for label in rng.choice(list(sizes), size=rng.integers(0, 4))]
        # Within one operand a label stands for one length; a length of 1 broadcasts against other operands.
        lengths = {label: 1 if rng.random() < 0.2 else sizes[label] for label in dict.fromkeys(labels)}
        shape = [lengths[label] for label in labels]
        if with_ellipsis and rng.random() < 0.7:
            place = 0 if rng.random() < 0.6 else int(rng.integers(0, len(labels) + 1))
            count = int(rng.integers(0, 3))
            shape[place:place] = [1 if rng.random() < 0.2 else n for n in hidden[2 - count :]]
            labels.insert(place, "...")
        operands.append("".join(labels))
        shapes.append(tuple(shape))
    text = ",".join(operands)
    if rng.random() < 0.8:
        used = sorted(set(text) - set(",."))
        result = [str(label) for label in rng.permutation(used)[: rng.integers(0, len(used) + 1)]]
        if "..." in text:
            result.insert(0 if rng.random() < 0.6 else int(rng.integers(0, len(result) + 1)), "...")
        text += "->" + "".join(result)
    return text, tuple(shapes)


def legal_calls(seed: int, count: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    found: list[Case] = []
    while len(found) < count:
        text, shapes = random_call(rng)
        try:
            np.einsum(text, *(np.ones(shape) for shape in shapes))
        except ValueError:
            continue
        found.append(Case((shapes,), {"subscripts": text}))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_random_subscripts(seed: int) -> None:
    refused = 0
    for case in legal_calls(seed, 50):
        env = drawing.draw(EINSUM, case)
        for mode in ("known", "ranks"):
            assert check_env(EINSUM, env, mode), str(case)
        refused += not check_env(EINSUM, env, "unknown")
    assert refused < 25, "only ellipses that are not first are refused where ranks are unknown"


def rule(subscripts: Any, *shapes: tuple[int, ...], k: int = 0) -> str:
    env = drawing.draw(EINSUM, Case((shapes,), {"subscripts": subscripts}))
    site = concrete_site.site_for(EINSUM, env, "known")
    rules.apply_shape_rule(EINSUM, site)
    return rules.backward_spelling(EINSUM, "xs", k, site)


def test_spellings_are_what_one_would_write() -> None:
    assert rule("ij,jk->ik", (2, 3), (3, 4)) == 'np.einsum("ik,jk->ij", dz, x1)'
    assert rule("i,i->", (3,), (3,)) == "dz * x1"
    assert rule("ij->i", (2, 3)) == "np.broadcast_to(dz[:, None], np.shape(x0))"
    assert rule("ii", (3, 3)) == "dz * np.eye(np.shape(x0)[0], dtype=bool)"
    assert rule("ij,ij->ij", (2, 3), (2, 3)) == "dz * x1"


@pytest.mark.parametrize("subscripts", [(0, 1), "ij,jk->ik", "ij->ijx", "ij->ii", "i$"])
def test_not_understood(subscripts: Any) -> None:
    with pytest.raises(concrete_site.RefusedUse):
        rule(subscripts, (2, 3))
