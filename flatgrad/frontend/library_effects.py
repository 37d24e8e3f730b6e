"""What functions of NumPy, SciPy and Python, and the methods of their objects, do to memory, by name."""

from __future__ import annotations

import ast


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DISPLAYS = (ast.Tuple, ast.List, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Attributes that are no memory of the array.
PLAIN = _words("shape ndim size dtype itemsize nbytes strides __name__")
# Attributes that show that what has them is an array.
OF_ARRAYS = _words("shape ndim dot sum mean reshape transpose ravel flatten astype argmax std var")
# Those that it has besides.
_ALSO = _words(
    "T real imag flat copy squeeze fill swapaxes max min any all clip round repeat take tolist item view base"
)

# Packages whose functions change nothing but what the tables here say.
LIBRARIES = _words(
    """numpy scipy math cmath time itertools functools operator collections copy string re typing warnings logging
    datetime enum numbers fractions decimal statistics"""
)
# Beginnings of the paths of functions that only show or check something.
SHOWING = ("pprint.", "logging.", "warnings.", "matplotlib.", "sys.stdout.", "sys.stderr.", "numpy.testing.assert_")
# Methods of loggers, streams and debuggers.
LOGGING = _words("debug info warning warn error critical exception log write flush set_trace")
# Functions that change a state that is no argument.
STATEFUL = _words("seterr seterrcall setbufsize set_printoptions save savez savez_compressed savetxt sleep tofile dump")
# Functions of NumPy that write to their first argument.
WRITERS = _words("copyto put place putmask fill_diagonal put_along_axis")
# Functions of Python whose results are numbers, text or types.
SCALARS = _words(
    """len range int float complex bool str repr isinstance issubclass hasattr callable type id hash format any all
    ord chr bin hex oct ascii bytes slice object"""
)
# Functions of Python whose results hold what they are given.
HOLDERS = _words("list tuple set frozenset dict sorted reversed zip enumerate map filter iter super sum fromkeys")
# Methods of strings and dicts whose results are text or numbers.
TEXT = _words(
    """format join split rsplit startswith endswith lower upper strip lstrip rstrip replace count index find keys
    isdigit title capitalize zfill encode decode splitlines"""
)
# Methods whose results share memory with what they are called on.
VIEWS = _words(
    "reshape ravel transpose swapaxes squeeze view diagonal conj conjugate get items values __getitem__ newbyteorder"
)
# Functions of NumPy that write to one more argument, behind their one operand or their two.
UNARY = _words(
    """exp exp2 expm1 log log2 log10 log1p sqrt cbrt square tanh sinh cosh sin cos tan arcsin arccos arctan arcsinh
    arccosh arctanh abs absolute fabs negative positive sign floor ceil trunc rint reciprocal isnan isfinite isinf
    logical_not degrees radians deg2rad rad2deg conjugate conj invert signbit"""
)
BINARY = _words(
    """add subtract multiply divide true_divide floor_divide power float_power maximum minimum fmax fmin mod
    remainder fmod logaddexp logaddexp2 arctan2 hypot greater greater_equal less less_equal equal not_equal logical_and
    logical_or logical_xor bitwise_and bitwise_or dot matmul outer copysign heaviside"""
)
# Methods of arrays whose results are memory of their own.
METHODS = _words(
    """sum mean max min std var prod cumsum cumprod argmax argmin argsort ptp any all nonzero round clip take
    repeat flatten tolist item astype choose compress searchsorted trace dot tobytes"""
)
# Functions of NumPy and SciPy whose results are memory of their own.
FRESH = (
    _words(
        """zeros zeros_like ones ones_like empty empty_like full full_like eye identity arange linspace logspace
        geomspace copy sum mean average max min amax amin std var prod cumsum cumprod argmax argmin argsort sort ptp
        median percentile quantile any all count_nonzero nonzero round around clip take take_along_axis repeat
        tile choose compress searchsorted trace inner vdot cross kron tensordot
        concatenate stack hstack vstack dstack column_stack row_stack append insert delete pad roll unique bincount
        histogram diff gradient interp tril triu sinc where select norm inv solve det slogdet cholesky eig eigh svd
        pinv lstsq qr matrix_rank expit logit erf erfc erfinv gammaln gamma digamma logsumexp softmax log_softmax
        xlogy nansum nanmean nanmax nanmin isclose allclose array_equal one_hot ndarray indices unravel_index
        ravel_multi_index triu_indices tril_indices diag_indices finfo iinfo errstate float16 float32 float64 int32
        int64 bool_ shape ndim size cdist pdist squareform block_diag result_type dtype"""
    )
    | UNARY - _words("conj conjugate")
    | BINARY
)
# Everything that is an attribute of arrays.
ARRAY_ATTRIBUTES = PLAIN | OF_ARRAYS | METHODS | VIEWS | _ALSO
