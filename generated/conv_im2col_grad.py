"""Flat gradient code for conv_im2col.py, written by flatgrad 0.1.0.

im2col_indices_forward(x, field_height, field_width, padding, stride) -> cols2, cache
im2col_indices_backward(dcols, cache)                                 -> dx
conv_forward(x, w, b, conv_param)                                     -> out, cache
conv_backward(dout, cache)                                            -> dx, dw, db

Between forward and backward the caller leaves arguments and results as they are.
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
    cols2 = cols.transpose(1, 2, 0).reshape(field_height * field_width * C, -1)  # (3)
    return cols2, (x, p, x_padded, k, i, j, cols)


def im2col_indices_backward(dcols, cache):
    x, p, x_padded, k, i, j, cols = cache
    # (3) cols = cols.transpose(1, 2, 0).reshape(field_height * field_width * C, -1)
    dcols = dcols.reshape(cols.transpose(1, 2, 0).shape).transpose(2, 0, 1)
    # (2) cols = x_padded[:, k, i, j]
    dx_padded = np.zeros(x_padded.shape, dcols.dtype)
    np.add.at(dx_padded, np.s_[:, k, i, j], dcols)
    # (1) x_padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="constant")
    dx = dx_padded[:, :, p : p + x.shape[2], p : p + x.shape[3]]
    return dx


def conv_forward(x, w, b, conv_param):
    """
    Convolution as one matrix product.

    Input:
    - x: Input data of shape (N, C, H, W)
    - w: Filter weights of shape (F, C, HH, WW)
    - b: Biases, of shape (F,)
    - conv_param: A dictionary with the keys 'stride' and 'pad'
    """
    if w.shape[1] != x.shape[1] or b.shape != w.shape[:1]:
        raise ValueError("shapes must be w (F, C, HH, WW) and b (F,)")
    N, C, H, W = x.shape
    num_filters, _, filter_height, filter_width = w.shape
    stride, pad = conv_param["stride"], conv_param["pad"]  # (1)

    out_height = (H + 2 * pad - filter_height) // stride + 1  # (2)
    out_width = (W + 2 * pad - filter_width) // stride + 1  # (3)

    x_cols, im2col_indices_cache = im2col_indices_forward(
        x, filter_height, filter_width, pad, stride
    )  # (4)
    res = w.reshape((num_filters, -1)).dot(x_cols) + b.reshape(-1, 1)  # (5)

    out = res.reshape(num_filters, out_height, out_width, N)  # (6)
    out = out.transpose(3, 0, 1, 2)  # (7)
    return out, (w, b, x_cols, im2col_indices_cache, res)


def conv_backward(dout, cache):
    """Gradients from dout: dx (N, C, H, W), dw (F, C, HH, WW), db (F,)."""
    w, b, x_cols, im2col_indices_cache, res = cache
    num_filters = w.shape[0]
    # (7) out = out.transpose(3, 0, 1, 2)
    dout = dout.transpose(1, 2, 3, 0)
    # (6) out = res.reshape(num_filters, out_height, out_width, N)
    dres = dout.reshape(res.shape)
    # (5) res = w.reshape((num_filters, -1)).dot(x_cols) + b.reshape(-1, 1)
    dw = (dres @ x_cols.T).reshape(w.shape)
    dx_cols = w.reshape(num_filters, -1).T @ dres
    db = dres.sum(axis=1, keepdims=True).reshape(b.shape)
    # (4) x_cols = im2col_indices(x, filter_height, filter_width, pad, stride)
    dx = im2col_indices_backward(dx_cols, im2col_indices_cache)
    return dx, dw, db
