"""How the elements of a list become one array."""

from __future__ import annotations

from flatgrad.ir.core import Relation


def joined_axis(relation: Relation, rank: int | None) -> tuple[int, bool] | None:
    """The axis of what `stacked(hs, axis=0, form="vstack")` makes along which the elements stand, and whether it is an
    axis that they do not have; None where that hangs on how many dims they have.

    Args:
        rank: the number of dims of the list as an array, which is one more than its elements have.
    """
    axis, form = relation.attrs["axis"], relation.attrs.get("form")
    assert isinstance(axis, int)
    own = None if rank is None else rank - 1
    match form:
        case None if axis >= 0:
            return axis, True
        case None:
            return None if own is None else (axis + own + 1, True)
        case "concatenate" if own is not None and -own <= axis < own:
            return axis % own, False
        case "vstack" if own is not None and own > 0:
            return 0, own == 1
        case "hstack" if own is not None and own > 0:
            return min(own - 1, 1), False
        case "column_stack" if own is not None and own > 0:
            return 1, own == 1
        case "dstack" if own is not None and own > 1:
            return 2, own == 2
    return None
