"""Mistakes in convolution, pooling, embedding and dropout: geometry, and places that are written more than once."""

from tests.homework.mistakes.planted import planted

CONV = "conv_naive.py:conv_naive"
POOL = "max_pool.py:max_pool_naive"
ARGMAX = "max_pool_argmax.py:MaxPool"
AVERAGE = "avg_pool.py:avgpool"
EMBEDDING = "word_embedding.py:word_embedding"
LOOKUP = "embedding_loop.py:Embedding"
DROPOUT = "dropout.py:dropout"
CONV1D = "conv1d_cmu.py:Conv1d_stride1"
WINDOW = "x_pad[n, :, i * stride:i * stride + HH, j * stride:j * stride + WW]\n                    dw[f] +="

WINDOWS = (
    planted(
        "conv-pad-slice", CONV, "dx_pad[:, :, pad:pad + H, pad:pad + W]", "dx_pad[:, :, pad:-pad, pad:-pad]", "geometry"
    ),
    planted(
        "conv-not-cropped",
        CONV,
        "dx_pad[:, :, pad:pad + H, pad:pad + W]",
        "dx_pad",
        "geometry shape",
        at="    dx = dx_pad",
    ),
    planted(
        "conv-cropped-from-corner", CONV, "dx_pad[:, :, pad:pad + H, pad:pad + W]", "dx_pad[:, :, :H, :W]", "geometry"
    ),
    planted(
        "conv-stride-forgotten",
        CONV,
        "dx_pad[n, :, i * stride:i * stride + HH, j * stride:j * stride + WW] +=",
        "dx_pad[n, :, i:i + HH, j:j + WW] +=",
        "geometry",
    ),
    planted(
        "conv-window-stride-forgotten",
        CONV,
        WINDOW,
        "x_pad[n, :, i:i + HH, j:j + WW]\n                    dw[f] +=",
        "geometry",
        at=("x_pad[n, :, i:i + HH, j:j + WW]", "dw[f] +="),
    ),
    planted(
        "conv-window-not-padded",
        CONV,
        WINDOW,
        "x[n, :, i * stride:i * stride + HH, j * stride:j * stride + WW]\n                    dw[f] +=",
        "geometry wrong-point shape",
        at=("window = x[n, :", "dw[f] +="),
    ),
    planted(
        "conv-indices-exchanged",
        CONV,
        WINDOW,
        "x_pad[n, :, j * stride:j * stride + HH, i * stride:i * stride + WW]\n                    dw[f] +=",
        "geometry transposed shape unexplained",
        at=("window = x_pad[n, :, j * stride", "dw[f] +="),
    ),
    planted("conv-db-axes", CONV, "axis=(0, 2, 3)", "axis=(0, 1, 2)", "wrong-axis"),
    planted("conv-db-batch-not-summed", CONV, "axis=(0, 2, 3)", "axis=(2, 3)", "wrong-axis not-summed"),
    planted(
        "conv-dx-overwritten", CONV, "+= dout[n, f, i, j] * w[f]", "= dout[n, f, i, j] * w[f]", "overwritten scatter"
    ),
    planted(
        "conv-dw-overwritten",
        CONV,
        "dw[f] += dout[n, f, i, j] * window",
        "dw[f] = dout[n, f, i, j] * window",
        "overwritten scatter",
    ),
    planted("conv-dw-upstream", CONV, "dw[f] += dout[n, f, i, j] * window", "dw[f] += window", "upstream"),
    planted("conv-dx-wrong-operand", CONV, "+= dout[n, f, i, j] * w[f]", "+= dout[n, f, i, j] * window", "wrong-point"),
    planted(
        "pool-overwritten",
        POOL,
        "+= dout[n, c, i, j] * mask",
        "= dout[n, c, i, j] * mask",
        "overwritten scatter geometry",
    ),
    planted("pool-mask-forgotten", POOL, "+= dout[n, c, i, j] * mask", "+= dout[n, c, i, j]", "mask"),
    planted("pool-upstream", POOL, "+= dout[n, c, i, j] * mask", "+= mask", "upstream"),
    planted(
        "pool-mask-of-positive",
        POOL,
        "mask = window == np.max(window)",
        "mask = window > 0",
        "mask unexplained",
        at=("mask = window > 0", "+= dout[n, c, i, j] * mask"),
    ),
    planted(
        "pool-stride-forgotten",
        POOL,
        "dx[n, c, i * s:i * s + ph, j * s:j * s + pw] +=",
        "dx[n, c, i:i + ph, j:j + pw] +=",
        "geometry",
    ),
    planted(
        "argmax-overwritten",
        ARGMAX,
        "dx[b, ch, r + k, q + l] += dout",
        "dx[b, ch, r + k, q + l] = dout",
        "overwritten scatter geometry",
    ),
    planted("argmax-stride-forgotten", ARGMAX, "dx[b, ch, r + k, q + l] +=", "dx[b, ch, i + k, j + l] +=", "geometry"),
    planted(
        "argmax-indices-exchanged",
        ARGMAX,
        "dx[b, ch, r + k, q + l] +=",
        "dx[b, ch, r + l, q + k] +=",
        "geometry transposed unexplained",
    ),
    planted(
        "average-not-divided",
        AVERAGE,
        "da = dout[:, h, w, :] / (size * size)",
        "da = dout[:, h, w, :]",
        "factor",
        at=("da = dout", "dx[:, h*size"),
    ),
    planted(
        "average-divided-by-side", AVERAGE, "/ (size * size)", "/ size", "factor", at=("da = dout", "dx[:, h*size")
    ),
    planted("embedding-buffered", EMBEDDING, "np.add.at(dW, x, dout)", "dW[x] += dout", "scatter"),
    planted("embedding-overwritten", EMBEDDING, "np.add.at(dW, x, dout)", "dW[x] = dout", "scatter overwritten"),
    planted(
        "lookup-overwritten", LOOKUP, "self.dW[word_id] += dout[k]", "self.dW[word_id] = dout[k]", "scatter overwritten"
    ),
    planted("lookup-mean", LOOKUP, "+= dout[k]", "+= dout[k] / len(self.ids)", "factor mean-for-sum"),
    planted("dropout-not-masked", DROPOUT, "dx = dout * mask", "dx = dout * 1.0", "mask wrong-gradient"),
    planted("dropout-scaled-twice", DROPOUT, "dx = dout * mask", "dx = dout * mask / dropout_param['p']", "factor"),
    planted("dropout-not-scaled", DROPOUT, "dx = dout * mask", "dx = dout * (mask > 0)", "factor"),
    planted("dropout-upstream", DROPOUT, "dx = dout * mask", "dx = mask", "upstream"),
    planted(
        "conv1d-kernel-not-flipped",
        CONV1D,
        "W_flip = np.flip(self.W, axis=2)",
        "W_flip = self.W",
        "unexplained geometry wrong-axis transposed",
        at=("W_flip = self.W", "dLdA[:, :, i] ="),
    ),
    planted("conv1d-dLdb-axes", CONV1D, "np.sum(dLdZ, axis=(0, 2))", "np.sum(dLdZ, axis=(1, 2))", "wrong-axis"),
    planted(
        "conv1d-dLdW-overwritten",
        CONV1D,
        "self.dLdW[:, :, k] = np.tensordot",
        "self.dLdW[:, :, 0] = np.tensordot",
        "overwritten geometry unexplained",
    ),
    planted(
        "conv1d-pad",
        CONV1D,
        "pad = self.kernel_size - 1",
        "pad = self.kernel_size",
        "geometry unexplained",
        at=("pad = self.kernel_size", "dLdA[:, :, i] =", "dLdZ_pad ="),
    ),
    planted(
        "upsample-takes-the-first",
        "upsample.py:Upsample1d",
        "dLdZ[:, :, ::self.upsampling_factor]",
        "dLdZ[:, :, :self.upsampling_factor]",
        "shape unexplained",
    ),
    planted(
        "upsample-next-to-it",
        "upsample.py:Upsample1d",
        "dLdZ[:, :, ::self.upsampling_factor]",
        "dLdZ[:, :, 1::self.upsampling_factor]",
        "shape unexplained geometry",
    ),
)
