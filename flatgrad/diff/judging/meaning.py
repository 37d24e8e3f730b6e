"""Which shapes a homework means, where nothing says: the forward pass accepts several.

`z = w @ x + b` takes `b` as `(M, 1)`, as a number, and as a row as long as the batch. The rule, in two steps:

1. **The forward pass alone.** A bias has the dims of the weights that stand beside it, never one that only data have
   (the batch): it is a column then, or a number where no column is accepted. The backward pass has no say in that:
   `db = np.sum(dz, axis=0)` where axis 1 is meant does not make a bias of the shape that would excuse it. A loss with
   one weight of a small letter has a vector of weights, labels `(N,)` and a scalar bias, where it accepts them.
2. **The backward pass as a witness.** Only where it does not fit the shapes found so far (a statement raises, or a
   returned gradient has not the shape of its variable), and only among readings that are natural without it: data as
   arrays of the rank of data; vectors and single indices that are called so; one column of data where a column is
   taken out of them, or where nothing but an update raises; one row of labels. That reading must fit better.

No reading of step 2 gives a bias or a scale the shape of a batch, or makes a number of it beside a matrix of weights: a
gradient that is not summed (`db = dout`), or summed too far (`db = np.sum(dout)`), fits no better and is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from flatgrad.checking.drawing import every
from flatgrad.checking.inputs import Fitted, NoArguments, Parameter, Role
from flatgrad.ir.dims import SCALAR, Dim, Shape

Fit = Callable[[tuple[Parameter, ...]], Fitted]
Change = Callable[[Parameter], Parameter]

_BIAS = re.compile(r"b([a-z]{1,2})?_?\d?|b_\w+|\w*bias(es)?_?\w?|beta_?\d?|gamma_?\d?|intercept|shift|scale")
_WEIGHT = re.compile(r"[wWuUvVkKF]([a-z]{1,2}|_\w+)?_?\d?|\w*([Ww]eights?|kernel|filters?)_?\w?|[Tt]heta_?\d?|coef\w*")
_NUMBER = re.compile(r"\w*(reg|lam|eps|rate|alpha|momentum|decay|slope|prob|margin|strength|temperature|tau)\w*|lr|p|m")
_VECTOR = re.compile(r"w|theta|weights?|coef\w*|wei")
_TRUTHS = re.compile(r"[yYtT]|targ(et)?s?|labels?|y_\w+")
_STATE = re.compile(r"([hcs]_?prev|prev_?[hcs]|[hcs]_?0?|state|hidden(_state)?)(_?[lt])?")
_SINGLE = re.compile(r"\w*(Idx|Index|_idx|_index)")


# What one gradient of another shape counts, beside 1 for a statement that raises.
MISFIT = 100


def meant(
    described: tuple[Parameter, ...], fit: Fit, complaints: Callable[[Fitted], int], loss: bool, text: str
) -> Fitted:
    """Fitted parameters of the shapes that are meant.

    Args:
        described: the parameters, not fitted.
        fit: fits some; raises NoArguments.
        complaints: what in the backward pass does not fit the shapes (see `MISFIT`); 0 if all does.
        loss: the result is a loss, no gradient is handed in.
        text: of the forward pass.
    Raises:
        NoArguments: the forward pass accepts nothing that was tried.
    """
    if loss and _is_of_one_unit(described):
        try:
            fitted = fit(_changed(described, _as_one_unit))
            described = _changed(described, _as_one_unit)
        except NoArguments:
            fitted = fit(described)
    else:
        fitted = fit(described)
    best = _natural(described, fit, fitted)
    count = complaints(best)
    for change in _readings(best, loss, text, count) if count else ():
        changed = _changed(described, change)
        if changed == described:
            continue
        try:
            fitted = _natural(changed, fit, fit(changed))
            left = complaints(fitted)
        except NoArguments:
            continue
        if left < count and (left // MISFIT < count // MISFIT or count < MISFIT):
            described, best, count = changed, fitted, left
        if not count:
            break
    return best


def _natural(described: tuple[Parameter, ...], fit: Fit, fitted: Fitted) -> Fitted:
    """Step 1 of the rule."""
    biases = _batch_biases(fitted.parameters)
    if not biases:
        return fitted
    for change in (_as_column, _as_number):
        changed = _changed(described, lambda one, change=change: change(one) if one.name in biases else one)  # type: ignore[misc]
        try:
            again = fit(changed)
        except NoArguments:
            continue
        if not _batch_biases(again.parameters):
            return again
    return fitted


def _batch_biases(parameters: Sequence[Parameter]) -> frozenset[str]:
    """Names of biases with a dim that no weight has, where there are weights."""
    reals = [one for one in every(parameters) if one.role is Role.REAL]
    weights = [one for one in reals if _WEIGHT.fullmatch(_bare(one)) and one.shape.front]
    known = {name for one in weights for dim in one.shape.front for name in dim.symbols()}
    return frozenset(
        one.name
        for one in reals
        if weights
        and not one.certain
        and _BIAS.fullmatch(_bare(one))
        and {name for dim in one.shape.front for name in dim.symbols()} - known
    ) | frozenset(
        # Fitted as a column it is certain, of a dim that must be a weight's.
        one.name
        for one in reals
        if weights
        and one.certain
        and any(".column" in name for dim in one.shape.front for name in dim.symbols() - known)
    )


def _readings(best: Fitted, loss: bool, text: str, count: int) -> Iterator[Change]:
    """Step 2 of the rule: other natural readings."""
    if re.search(r"squeeze|ravel|flatten|\[:, 0\]", text):
        yield _as_scores
    yield _as_data(2)
    yield _as_matrices
    yield _as_vectors
    weights = [one for one in every(best.parameters) if one.role is Role.REAL and _WEIGHT.fullmatch(_bare(one))]
    if loss and len(weights) == 1 and _VECTOR.fullmatch(_bare(weights[0])):
        yield _as_one_column_unit
    if any(_BIAS.fullmatch(_bare(one)) and _is_column(one) for one in every(best.parameters)):
        yield _as_one_state
    if count < MISFIT:
        yield _as_scores
    if loss:
        yield _as_row
    yield _as_data(3)
    if "range(" in text and re.search(r"\b\w+\[[^\[\],]*:[^\[\],]*\]", text):
        yield _as_sequence


def _as_sequence(one: Parameter) -> Parameter:
    """Data that a loop goes through in slices, and what moves over them."""
    if one.role is not Role.REAL or one.certain or not one.shape.front or _BIAS.fullmatch(_bare(one)):
        return one
    return _ranked(one, 1)


def _as_row(one: Parameter) -> Parameter:
    """Labels of one output unit, for data that are columns."""
    if one.role is not Role.REAL or one.certain or len(one.shape.front) != 2 or not _TRUTHS.fullmatch(_bare(one)):
        return one
    return replace(one, shape=Shape((Dim.of(1), one.shape.front[1])), certain=True)


def _is_of_one_unit(parameters: Sequence[Parameter]) -> bool:
    """One weight with a small letter, and labels that nothing says to be more than a vector."""
    reals = [one for one in every(parameters) if one.role is Role.REAL and not one.certain]
    weights = [one for one in reals if _WEIGHT.fullmatch(_bare(one))]
    truths = [one for one in reals if _TRUTHS.fullmatch(_bare(one))]
    return len(weights) == len(truths) == 1 and _VECTOR.fullmatch(_bare(weights[0])) is not None


def _as_column(one: Parameter) -> Parameter:
    return replace(one, shape=Shape((Dim.symbol(f"{one.name}.column"), Dim.of(1))), certain=True)


def _as_number(one: Parameter) -> Parameter:
    return replace(one, shape=SCALAR, certain=True)


def _as_data(rank: int) -> Change:
    """What is neither weight nor bias nor a number by its name is an array like the other data."""

    def change(one: Parameter) -> Parameter:
        name = _bare(one)
        if one.role is not Role.REAL or one.certain or one.optional or len(one.shape.front) >= rank:
            return one
        if _BIAS.fullmatch(name) or _WEIGHT.fullmatch(name) or _NUMBER.fullmatch(name):
            return one
        return _ranked(one, rank)

    return change


def _as_matrices(one: Parameter) -> Parameter:
    if one.role is not Role.REAL or one.certain or len(one.shape.front) > 1 or not _WEIGHT.fullmatch(_bare(one)):
        return one
    return _ranked(one, 2)


def _is_column(one: Parameter) -> bool:
    return len(one.shape.front) == 2 and one.shape.front[1] == Dim.of(1)


def _as_one_state(one: Parameter) -> Parameter:
    """A recurrent state of one sequence, beside biases that are columns."""
    if one.role is not Role.REAL or one.certain or not _STATE.fullmatch(_bare(one)):
        return one
    return replace(one, shape=Shape((Dim.symbol(f"{one.name}.rows"), Dim.of(1))), certain=True)


def _as_vectors(one: Parameter) -> Parameter:
    if one.role is Role.REAL and not one.certain and re.search(r"([Vv]ec|[Vv]ector)$", one.name):
        return _ranked(one, 1)
    if one.role is Role.REAL and not one.certain and re.search(r"([Vv]ecs|[Vv]ectors)$", one.name):
        return _ranked(one, 2)
    if one.role is Role.LABELS and not one.certain and _SINGLE.fullmatch(one.name):
        return replace(one, shape=SCALAR, certain=True)
    return one


def _as_one_unit(one: Parameter) -> Parameter:
    """Linear and logistic regression with one score for each row."""
    name = _bare(one)
    if one.role is not Role.REAL or one.certain:
        return one
    if _VECTOR.fullmatch(name) or _TRUTHS.fullmatch(name):
        return _ranked(one, 1)
    return _as_number(one) if _BIAS.fullmatch(name) else one


def _as_one_column_unit(one: Parameter) -> Parameter:
    """The same for data that are columns: `w` of shape (D, 1), labels (1, N)."""
    name = _bare(one)
    if one.role is not Role.REAL or len(one.shape.front) != 2:
        return _as_number(one) if one.role is Role.REAL and not one.certain and _BIAS.fullmatch(name) else one
    if _VECTOR.fullmatch(name) and not one.certain:
        return replace(one, shape=Shape((one.shape.front[0], Dim.of(1))), certain=True)
    if _TRUTHS.fullmatch(name) and not (one.shape.front[0].as_symbol or "x").isidentifier():
        return replace(one, shape=Shape((Dim.of(1), one.shape.front[1])), certain=True)
    return one


def _as_scores(one: Parameter) -> Parameter:
    name = _bare(one)
    if one.role is not Role.REAL or len(one.shape.front) not in (1, 2) or _WEIGHT.fullmatch(name):
        return one
    if len(one.shape.front) == 1:
        other = one.certain or _BIAS.fullmatch(name) or _TRUTHS.fullmatch(name)
        return one if other else replace(_ranked(one, 2), shape=Shape((Dim.symbol(f"{one.name}.rows"), Dim.of(1))))
    if one.certain and (one.shape.front[1].as_symbol or "x").isidentifier():
        return one
    return replace(one, shape=Shape((Dim.symbol(f"{one.name}.rows"), Dim.of(1))), certain=True)


def _ranked(one: Parameter, rank: int) -> Parameter:
    dims = tuple(Dim.symbol(f"{one.name}.of{rank}{place}") for place in range(rank))
    return replace(one, shape=Shape(dims), certain=True)


def _changed(parameters: tuple[Parameter, ...], change: Change) -> tuple[Parameter, ...]:
    return tuple(
        replace(change(one), entries=_changed(one.entries, change)) if one.entries else change(one)
        for one in parameters
    )


def _bare(one: Parameter) -> str:
    return one.name.rpartition(".")[2]
