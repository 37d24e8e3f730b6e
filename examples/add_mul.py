def circuit(x: float, y: float, z: float):
    """The first circuit of every course: an addition that feeds a multiplication."""
    q = x + y
    f = q * z
    return f
