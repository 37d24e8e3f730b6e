from math import tanh


def two_units(x1, x2, y1, Wx1, bx1, Wx2, bx2, Wy1, by1, Wy2, by2):
    """Two tanh units, the first of which feeds the second."""
    y2 = tanh(Wx1 * x1 + bx1 + Wx2 * x2 + bx2)
    z1 = tanh(Wy1 * y1 + by1 + Wy2 * y2 + by2)
    return z1
