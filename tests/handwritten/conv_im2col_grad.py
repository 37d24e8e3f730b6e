"""Flat gradient code for conv_im2col.py, written by hand.

conv_forward(x, w, b, conv_param) -> out, cache
conv_backward(dout, cache)        -> dx, dw, db
"""

import numpy as np


def get_im2col_indices(x_shape, field_height, field_width, padding=1, stride=1):
    N, C, H, W = x_shape
    out_height = (H + 2 * padding - field_height) // stride + 1
    out_width = (W + 2 * padding - field_width) // stride + 1

    i0 = np.repeat(np.arange(field_height), field_width)
    i0 = np.tile(i0, C)
    i1 = stride * np.repeat(np.arange(out_height), out_width)
    j0 = np.tile(np.arange(field_width), field_height * C)
    j1 = stride * np.tile(np.arange(out_width), out_height)
    i = i0.reshape(-1, 1) + i1.reshape(1, -1)
    j = j0.reshape(-1, 1) + j1.reshape(1, -1)

    k = np.repeat(np.arange(C), field_height * field_width).reshape(-1, 1)
    return k, i, j


def im2col_indices_forward(x, field_height, field_width, padding=1, stride=1):
    """Every window of x, of shape (N, C, H, W), as a column."""
    p = padding
    x_padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="constant")  # (1)
    k, i, j = get_im2col_indices(x.shape, field_height, field_width, padding, stride)
    cols = x_padded[:, k, i, j]  # (2)
    C = x.shape[1]
    out = cols.transpose(1, 2, 0).reshape(field_height * field_width * C, -1)  # (3)
    return out, (x, p, x_padded, k, i, j, cols)


def im2col_indices_backward(dout, cache):
    """Gradient from dout: dx (N, C, H, W)."""
    x, p, x_padded, k, i, j, cols = cache
    _, _, H, W = x.shape
    N, K, L = cols.shape
    # (3) out = cols.transpose(1, 2, 0).reshape(field_height * field_width * C, -1)
    dcols = dout.reshape(K, L, N).transpose(2, 0, 1)
    # (2) cols = x_padded[:, k, i, j]
    dx_padded = np.zeros(x_padded.shape, dout.dtype)
    np.add.at(dx_padded, (slice(None), k, i, j), dcols)
    # (1) x_padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="constant")
    dx = dx_padded[:, :, p : p + H, p : p + W]
    return dx


def conv_forward(x, w, b, conv_param):
    """Convolution as one matrix product.

    Shapes: x (N, C, H, W), w (F, C, HH, WW), b (F,).
    """
    if b.shape != w.shape[:1]:
        raise ValueError(f"b must have shape (F,) = {w.shape[:1]}, not {b.shape}")
    N, C, H, W = x.shape
    num_filters, _, filter_height, filter_width = w.shape
    stride, pad = conv_param["stride"], conv_param["pad"]

    out_height = (H + 2 * pad - filter_height) // stride + 1
    out_width = (W + 2 * pad - filter_width) // stride + 1

    x_cols, im2col_cache = im2col_indices_forward(
        x, filter_height, filter_width, pad, stride
    )  # (1)
    w_rows = w.reshape((num_filters, -1))
    res = w_rows.dot(x_cols) + b.reshape(-1, 1)  # (2)

    out = res.reshape(num_filters, out_height, out_width, N)  # (3)
    out = out.transpose(3, 0, 1, 2)  # (4)
    return out, (w, x_cols, w_rows, im2col_cache)


def conv_backward(dout, cache):
    """Gradients from dout (N, F, H', W'): dx (N, C, H, W), dw (F, C, HH, WW), db (F,)."""
    w, x_cols, w_rows, im2col_cache = cache
    # (3), (4) out = res.reshape(...).transpose(3, 0, 1, 2)
    dres = dout.transpose(1, 2, 3, 0).reshape(w.shape[0], -1)
    # (2) res = w.reshape((num_filters, -1)).dot(x_cols) + b.reshape(-1, 1)
    dw = dres.dot(x_cols.T).reshape(w.shape)
    dx_cols = w_rows.T.dot(dres)
    db = dres.sum(axis=1)
    # (1) x_cols = im2col_indices(x, filter_height, filter_width, pad, stride)
    dx = im2col_indices_backward(dx_cols, im2col_cache)
    return dx, dw, db
