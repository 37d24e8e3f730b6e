"""Flat gradient code for `conv_net_loss` in conv_net.py, written by hand.

conv_net_loss_forward(params, X, y, reg)        -> loss, cache
conv_net_loss_backward(dloss, cache)            -> dparams
conv_net_loss_value_and_grad(params, X, y, reg) -> loss, dparams

The pairs of the layers that it is made of stand before it.
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


def max_pool_forward(x, pool_param):
    """Max pooling; windows overlap where the stride is smaller than the window.

    Shapes: x (N, C, H, W).
    """
    N, C, H, W = x.shape
    HH, WW = pool_param["pool_height"], pool_param["pool_width"]
    stride = pool_param["stride"]
    H_out = (H - HH) // stride + 1
    W_out = (W - WW) // stride + 1
    out = np.zeros((N, C, H_out, W_out))  # (1)
    for i in range(H_out):
        for j in range(W_out):
            window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]  # (2)
            out[:, :, i, j] = np.max(window, axis=(2, 3))  # (3)
    return out, (x, HH, WW, stride)


def max_pool_backward(dout, cache):
    """Gradient from dout (N, C, H', W'): dx (N, C, H, W)."""
    x, HH, WW, stride = cache
    N, C, H_out, W_out = dout.shape
    dx = np.zeros(x.shape, dout.dtype)
    for i in reversed(range(H_out)):
        for j in reversed(range(W_out)):
            window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            # (3) out[:, :, i, j] = np.max(window, axis=(2, 3)), shared among ties
            top = window == np.max(window, axis=(2, 3), keepdims=True)
            dwindow = dout[:, :, i, j, None, None] * top / top.sum(axis=(2, 3), keepdims=True)
            # (2) window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            dx[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW] += dwindow
    return dx


def affine_forward(x, w, b):
    """x has shape (N, d_1, ..., d_k), with D = d_1 * ... * d_k.

    Shapes: w (D, M), b (M,).
    """
    if b.shape != w.shape[1:]:
        raise ValueError(f"b must have shape (M,) = {w.shape[1:]}, not {b.shape}")
    rows = x.reshape(x.shape[0], -1)  # (1)
    out = rows @ w + b  # (2)
    return out, (x, w, rows)


def affine_backward(dout, cache):
    """Gradients from dout (N, M): dx like x, dw (D, M), db (M,)."""
    x, w, rows = cache
    # (2) out = rows @ w + b
    drows = dout @ w.T
    dw = rows.T @ dout
    db = dout.sum(axis=0)
    # (1) rows = x.reshape(x.shape[0], -1)
    dx = drows.reshape(x.shape)
    return dx, dw, db


def relu_forward(x):
    out = np.maximum(0, x)  # (1)
    return out, out


def relu_backward(dout, cache):
    out = cache
    # (1) out = np.maximum(0, x)
    dx = dout * (out > 0)
    return dx


def affine_relu_forward(x, w, b):
    """Shapes: w (D, M), b (M,)."""
    a, affine_cache = affine_forward(x, w, b)  # (1)
    out, relu_cache = relu_forward(a)  # (2)
    return out, (affine_cache, relu_cache)


def affine_relu_backward(dout, cache):
    """Gradients from dout (N, M): dx like x, dw (D, M), db (M,)."""
    affine_cache, relu_cache = cache
    # (2) out = relu_forward(a)
    da = relu_backward(dout, relu_cache)
    # (1) a = affine_forward(x, w, b)
    dx, dw, db = affine_backward(da, affine_cache)
    return dx, dw, db


def softmax_loss_forward(scores, y):
    """Average cross-entropy of scores, of shape (N, C), against the labels y, of shape (N,)."""
    shifted = scores - np.max(scores, axis=1, keepdims=True)  # (1)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))  # (2)
    N = scores.shape[0]
    out = -np.sum(log_probs[np.arange(N), y]) / N  # (3)
    return out, (y, log_probs)


def softmax_loss_backward(dout, cache):
    """Gradient of out: dscores (N, C)."""
    y, log_probs = cache
    N = log_probs.shape[0]
    # (1)-(3) softmax cross-entropy of scores against y
    dscores = np.exp(log_probs)
    dscores[np.arange(N), y] -= 1
    dscores *= dout / N
    return dscores


def conv_net_loss_forward(params, X, y, reg=0.0):
    """Loss of a three-layer convolutional network: conv - relu - 2x2 max pool - affine - relu - affine - softmax."""
    W1, b1 = params["W1"], params["b1"]
    W2, b2 = params["W2"], params["b2"]
    W3, b3 = params["W3"], params["b3"]

    # pass conv_param to the forward pass for the convolutional layer
    filter_size = W1.shape[2]
    conv_param = {"stride": 1, "pad": (filter_size - 1) // 2}

    # pass pool_param to the forward pass for the max-pooling layer
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}

    conv, conv_cache = conv_forward(X, W1, b1, conv_param)  # (1)
    relu, relu_cache = relu_forward(conv)  # (2)
    pool, pool_cache = max_pool_forward(relu, pool_param)  # (3)
    hidden, hidden_cache = affine_relu_forward(pool, W2, b2)  # (4)
    scores, scores_cache = affine_forward(hidden, W3, b3)  # (5)

    loss, softmax_cache = softmax_loss_forward(scores, y)  # (6)
    loss += 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2) + np.sum(W3 * W3))  # (7)
    return loss, (
        W1,
        W2,
        W3,
        reg,
        conv_cache,
        relu_cache,
        pool_cache,
        hidden_cache,
        scores_cache,
        softmax_cache,
    )


def conv_net_loss_backward(dloss, cache):
    """Gradients of loss: dparams, a dict with the keys of params."""
    (
        W1,
        W2,
        W3,
        reg,
        conv_cache,
        relu_cache,
        pool_cache,
        hidden_cache,
        scores_cache,
        softmax_cache,
    ) = cache
    # (6) loss = softmax_loss(scores, y)
    dscores = softmax_loss_backward(dloss, softmax_cache)
    # (5) scores = affine_forward(hidden, W3, b3)
    dhidden, dW3, db3 = affine_backward(dscores, scores_cache)
    # (4) hidden = affine_relu_forward(pool, W2, b2)
    dpool, dW2, db2 = affine_relu_backward(dhidden, hidden_cache)
    # (3) pool = max_pool_forward(relu, pool_param)
    drelu = max_pool_backward(dpool, pool_cache)
    # (2) relu = relu_forward(conv)
    dconv = relu_backward(drelu, relu_cache)
    # (1) conv = conv_forward(X, W1, b1, conv_param)
    dX, dW1, db1 = conv_backward(dconv, conv_cache)
    # (7) loss += 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2) + np.sum(W3 * W3))
    dW1 += dloss * reg * W1
    dW2 += dloss * reg * W2
    dW3 += dloss * reg * W3
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}


def conv_net_loss_value_and_grad(params, X, y, reg=0.0):
    loss, cache = conv_net_loss_forward(params, X, y, reg)
    return loss, conv_net_loss_backward(1.0, cache)
