"""Flat gradient code for conv_net.py, written by flatgrad 0.1.0 (--function conv_net_loss --wrt params).

softmax_loss_forward(scores, y)                 -> out, cache
softmax_loss_backward(dout, cache)              -> dscores
softmax_loss_value_and_grad(scores, y)          -> out, dscores
conv_net_loss_forward(params, X, y, reg)        -> loss, cache
conv_net_loss_backward(dloss, cache)            -> dparams
conv_net_loss_value_and_grad(params, X, y, reg) -> loss, dparams
conv_forward(x, w, b, conv_param)               -> out, cache
conv_backward(dout, cache)                      -> dw, db
relu_forward(x)                                 -> out, cache
relu_backward(dout, cache)                      -> dx
relu_value_and_grad(x)                          -> out, dx
max_pool_forward(x, pool_param)                 -> out, cache
max_pool_backward(dout, cache)                  -> dx
affine_relu_forward(x, w, b)                    -> out, cache
affine_relu_backward(dout, cache)               -> dx, dw, db
affine_forward(x, w, b)                         -> out, cache
affine_backward(dout, cache)                    -> dx, dw, db

Between forward and backward the caller leaves arguments and results as they are.
"""

import numpy as np


def im2col_indices(x, field_height, field_width, padding=1, stride=1):
    """Every window of x, of shape (N, C, H, W), as a column."""
    p = padding
    x_padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="constant")
    k, i, j = get_im2col_indices(x.shape, field_height, field_width, padding, stride)
    cols = x_padded[:, k, i, j]
    C = x.shape[1]
    cols = cols.transpose(1, 2, 0).reshape(field_height * field_width * C, -1)
    return cols


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


def softmax_loss_forward(scores, y):
    """Average cross-entropy of scores against labels.

    Shapes: scores (N, C), y (N,).
    """
    if scores.ndim != 2 or np.shape(y) != scores.shape[:1]:
        raise ValueError("shapes must be scores (N, C) and y (N,)")
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


def softmax_loss_value_and_grad(scores, y):
    out, cache = softmax_loss_forward(scores, y)
    return out, softmax_loss_backward(1.0, cache)


def conv_net_loss_forward(params, X, y, reg=0.0):
    """
    Loss of a three-layer convolutional network: conv - relu - 2x2 max pool - affine - relu - affine - softmax

    - params: dictionary of W1 (F, C, HH, WW), b1 (F,), W2 (F * H / 2 * W / 2, M), b2 (M,), W3 (M, K), b3 (K,)
    - X: images of shape (N, C, H, W)
    - y: labels of shape (N,)
    - reg: L2 regularization strength
    """
    if np.ndim(reg) != 0:
        raise ValueError("reg must be a scalar")
    W1, b1 = params["W1"], params["b1"]  # (1)
    W2, b2 = params["W2"], params["b2"]  # (2)
    W3, b3 = params["W3"], params["b3"]  # (3)

    # pass conv_param to the forward pass for the convolutional layer
    filter_size = W1.shape[2]
    conv_param = {"stride": 1, "pad": (filter_size - 1) // 2}

    # pass pool_param to the forward pass for the max-pooling layer
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}

    conv, conv_cache = conv_forward(X, W1, b1, conv_param)  # (4)
    relu, relu_cache = relu_forward(conv)  # (5)
    pool, pool_cache = max_pool_forward(relu, pool_param)  # (6)
    hidden, affine_relu_cache = affine_relu_forward(pool, W2, b2)  # (7)
    scores, affine_cache = affine_forward(hidden, W3, b3)  # (8)

    loss, softmax_loss_cache = softmax_loss_forward(scores, y)  # (9)
    loss += 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2) + np.sum(W3 * W3))  # (10)
    return loss, (
        reg,
        W1,
        W2,
        W3,
        conv_cache,
        relu_cache,
        pool_cache,
        affine_relu_cache,
        affine_cache,
        softmax_loss_cache,
    )


def conv_net_loss_backward(dloss, cache):
    (
        reg,
        W1,
        W2,
        W3,
        conv_cache,
        relu_cache,
        pool_cache,
        affine_relu_cache,
        affine_cache,
        softmax_loss_cache,
    ) = cache
    # (10) loss += 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2) + np.sum(W3 * W3))
    dW1 = dloss * reg * W1
    dW2 = dloss * reg * W2
    dW3 = dloss * reg * W3
    # (9) loss = softmax_loss(scores, y)
    dscores = softmax_loss_backward(dloss, softmax_loss_cache)
    # (8) scores = affine_forward(hidden, W3, b3)
    dhidden, dW3_2, db3 = affine_backward(dscores, affine_cache)
    dW3 += dW3_2
    # (7) hidden = affine_relu_forward(pool, W2, b2)
    dpool, dW2_2, db2 = affine_relu_backward(dhidden, affine_relu_cache)
    dW2 += dW2_2
    # (6) pool, pool_cache = max_pool_forward(relu, pool_param)
    drelu = max_pool_backward(dpool, pool_cache)
    # (5) relu = relu_forward(conv)
    dconv = relu_backward(drelu, relu_cache)
    # (4) conv, conv_cache = conv_forward(X, W1, b1, conv_param)
    dW1_2, db1 = conv_backward(dconv, conv_cache)
    dW1 += dW1_2
    dparams = {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}
    return dparams


def conv_net_loss_value_and_grad(params, X, y, reg=0.0):
    loss, cache = conv_net_loss_forward(params, X, y, reg)
    return loss, conv_net_loss_backward(1.0, cache)


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

    x_cols = im2col_indices(x, filter_height, filter_width, pad, stride)  # (4)
    res = w.reshape((num_filters, -1)).dot(x_cols) + b.reshape(-1, 1)  # (5)

    out = res.reshape(num_filters, out_height, out_width, N)  # (6)
    out = out.transpose(3, 0, 1, 2)  # (7)
    return out, (w, b, x_cols, res)


def conv_backward(dout, cache):
    """Gradients from dout: dw (F, C, HH, WW), db (F,)."""
    w, b, x_cols, res = cache
    # (7) out = out.transpose(3, 0, 1, 2)
    dout = dout.transpose(1, 2, 3, 0)
    # (6) out = res.reshape(num_filters, out_height, out_width, N)
    dres = dout.reshape(res.shape)
    # (5) res = w.reshape((num_filters, -1)).dot(x_cols) + b.reshape(-1, 1)
    dw = (dres @ x_cols.T).reshape(w.shape)
    db = dres.sum(axis=1, keepdims=True).reshape(b.shape)
    return dw, db


def relu_forward(x):
    out = np.maximum(0, x)  # (1)
    return out, out


def relu_backward(dout, cache):
    out = cache
    # (1) out = np.maximum(0, x)
    dx = dout * (out > 0)
    return dx


def relu_value_and_grad(x):
    out, cache = relu_forward(x)
    if np.ndim(out) != 0:
        raise ValueError(f"out has the shape {np.shape(out)}, a scalar is needed")
    return out, relu_backward(1.0, cache)


def max_pool_forward(x, pool_param):
    """
    Max pooling; windows overlap where the stride is smaller than the window.

    Inputs:
    - x: Input data, of shape (N, C, H, W)
    - pool_param: dictionary with the following keys:
      - 'pool_height': The height of each pooling region
      - 'pool_width': The width of each pooling region
      - 'stride': The distance between adjacent pooling regions

    Returns a tuple of:
    - out: Output data, of shape (N, C, H', W')
    - cache: (x, pool_param)
    """
    N, C, H, W = x.shape
    HH, WW = pool_param["pool_height"], pool_param["pool_width"]
    stride = pool_param["stride"]
    H_out = (H - HH) // stride + 1
    W_out = (W - WW) // stride + 1
    out = np.zeros((N, C, H_out, W_out))  # (1)
    window_maxs = {}
    for i in range(H_out):
        for j in range(W_out):
            window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]  # (2)
            window_max = np.max(window, axis=(2, 3))
            window_maxs[i, j] = window_max
            out[:, :, i, j] = window_max  # (3)
    return out, (x, HH, WW, stride, H_out, W_out, window_maxs)


def max_pool_backward(dout, cache):
    """Gradient from dout: dx (N, C, H, W)."""
    x, HH, WW, stride, H_out, W_out, window_maxs = cache
    dx = np.zeros(x.shape, dout.dtype)
    for i in reversed(range(H_out)):
        for j in reversed(range(W_out)):
            window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            # (3) out[:, :, i, j] = np.max(window, axis=(2, 3))
            dout_part = dout[:, :, i, j]
            dwindow = (
                dout_part[:, :, None, None]
                * (window == window_maxs[i, j][:, :, None, None])
                / (window == window_maxs[i, j][:, :, None, None]).sum(
                    axis=(2, 3), dtype=dout_part.dtype, keepdims=True
                )
            )
            # (2) window = x[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            dx[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW] += dwindow
    return dx


def affine_relu_forward(x, w, b):
    """Shapes: w (D, M), b (M,)."""
    a, affine_cache = affine_forward(x, w, b)  # (1)
    out, relu_cache = relu_forward(a)  # (2)
    return out, (affine_cache, relu_cache)


def affine_relu_backward(dout, cache):
    """Gradients from dout: dx like x, dw (D, M), db (M,)."""
    affine_cache, relu_cache = cache
    # (2) out = relu_forward(a)
    da = relu_backward(dout, relu_cache)
    # (1) a = affine_forward(x, w, b)
    dx, dw, db = affine_backward(da, affine_cache)
    return dx, dw, db


def affine_forward(x, w, b):
    """x has shape (N, d_1, ..., d_k), with D = d_1 * ... * d_k.

    Shapes: w (D, M), b (M,).
    """
    if np.ndim(w) != 2 or np.shape(b) != np.shape(w)[1:]:
        raise ValueError("shapes must be w (D, M) and b (M,)")
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
