"""Gates that copy, or change what numbers are: array, asarray, astype, copy, float and the like.

A cast to a floating dtype passes the gradient on as it is; a cast to integers or booleans passes none.
"""

from __future__ import annotations

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import cast, cast_in_place, must_float
from flatgrad.ir.core import DType
from flatgrad.ir.dims import SCALAR


def _passed(site: Site) -> str:
    must_float(site)
    return "dz"


array = gate(
    "np.array(x, dtype=None, copy=True)",
    backward={"x": _passed},
    dtype=cast,
    proof="numpy",
    samples={"attrs": [{}]},
)

asarray = gate(
    "np.asarray(x, dtype=None)",
    also=("np.asanyarray(x, dtype=None)",),
    backward={"x": _passed},
    dtype=cast,
    proof="numpy",
    view=True,
    samples={"attrs": [{}]},
)

astype = gate(
    "x.astype(dtype, copy=True)",
    also=("np.astype(x, dtype, copy=True)",),
    backward={"x": _passed},
    dtype=cast_in_place,
    numeric_only="an array of symbols has no floating dtype",
    samples={"shapes": [((3,),), ((2, 3),)], "attrs": [{"dtype": "float64"}, {"dtype": "float"}]},
)

copy = gate("np.copy(x)", also=("x.copy()",), backward={"x": "dz"}, dtype="same", proof="numpy")

float64 = gate(
    "np.float64(x)",
    also=("np.double(x)",),
    backward={"x": "dz"},
    dtype=DType.FLOAT,
    numeric_only="np.float64 takes no symbols",
    view=True,
)

float32 = gate(
    "np.float32(x)",
    also=("np.single(x)",),
    backward={"x": "dz"},
    dtype=DType.FLOAT,
    numeric_only="np.float32 takes no symbols",
    view=True,
    samples={"step": 1.0},
)


def _from_number(site: Site) -> str:
    return "dz" if site.rank("x") == 0 else "np.reshape(dz, np.shape(x))"


float_ = gate(
    "float(x)",
    backward={"x": _from_number},
    shape=lambda site: SCALAR,
    dtype=DType.FLOAT,
    numeric_only="float takes no symbols",
    samples={"shapes": [((),)]},
)

item = gate(
    "x.item()",
    backward={"x": _from_number},
    shape=lambda site: SCALAR,
    dtype="same",
    proof="numpy",
    samples={"shapes": [((),), ((1,),), ((1, 1),)]},
)

int_ = gate("int(x)", shape=lambda site: SCALAR, dtype=DType.INT, samples={"shapes": [((),)]})

bool_ = gate("bool(x)", shape=lambda site: SCALAR, dtype=DType.BOOL, samples={"shapes": [((),)]})

# A gate for each, as what is worked out again must be cut down to the same range again.
for _name in (*("int64", "int32", "int16", "int8", "intp", "int_"), *("uint64", "uint32", "uint16", "uint8", "uint")):
    gate(f"np.{_name}(x)", dtype=DType.INT, view=True)
