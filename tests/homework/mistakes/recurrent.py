"""Mistakes in recurrent networks: one step, and over time."""

from tests.homework.mistakes.planted import planted

STEP = "rnn_layers.py:rnn_step"
OVER_TIME = "rnn_layers.py:rnn"
UNROLLED = "rnn_unrolled.py:rnn"
LSTM = "lstm_step.py:lstm_step"
GRU = "gru_step.py:gru_step"
CHARACTERS = "min_char_rnn.py:lossFun"
CELL = "rnn_cell_cmu.py:RNNCell"

RECURRENT = (
    planted("rnn-step-db-not-summed", STEP, "db = draw.sum(axis=0)", "db = draw", "not-summed", at="    db = draw"),
    planted("rnn-step-dWh-from-x", STEP, "dWh = prev_h.T.dot(draw)", "dWh = x.T.dot(draw)", "wrong-point shape"),
    planted("rnn-step-dWh-of-next", STEP, "dWh = prev_h.T.dot(draw)", "dWh = next_h.T.dot(draw)", "wrong-point"),
    planted("rnn-step-tanh-of-previous", STEP, "(1 - next_h ** 2)", "(1 - prev_h ** 2)", "wrong-point"),
    planted("rnn-step-upstream", STEP, "draw = dnext_h * (1 - next_h ** 2)", "draw = 1 - next_h ** 2", "upstream"),
    planted("rnn-step-dprev-h-transposed", STEP, "draw.dot(Wh.T)", "draw.dot(Wh)", "transposed"),
    planted("rnn-step-dx-upstream", STEP, "dx = draw.dot(Wx.T)", "dx = dnext_h.dot(Wx.T)", "wrong-gradient"),
    planted("rnn-step-dWx-transposed", STEP, "dWx = x.T.dot(draw)", "dWx = draw.T.dot(x)", "transposed"),
    planted("rnn-not-carried", OVER_TIME, "dnext_h = dh[:, t, :] + dprev_h", "dnext_h = dh[:, t, :]", "missing-path"),
    planted(
        "rnn-only-carried",
        OVER_TIME,
        "dnext_h = dh[:, t, :] + dprev_h",
        "dnext_h = dh[:, T - 1, :] + dprev_h",
        "unexplained wrong-gradient",
    ),
    planted("rnn-dWx-overwritten", OVER_TIME, "dWx += dWx_t", "dWx = dWx_t", "overwritten"),
    planted("rnn-dWh-overwritten", OVER_TIME, "dWh += dWh_t", "dWh = dWh_t", "overwritten"),
    planted("rnn-db-overwritten", OVER_TIME, "db += db_t", "db = db_t", "overwritten"),
    planted("rnn-db-of-input-weights", OVER_TIME, "dWh += dWh_t\n", "dWh -= dWh_t\n", "sign"),
    planted(
        "rnn-time-not-reversed",
        OVER_TIME,
        "for t in reversed(range(T)):",
        "for t in range(T):",
        "missing-path unexplained wrong-gradient",
        at=("for t in range(T):", "dnext_h = dh[:, t, :] + dprev_h"),
    ),
    planted("rnn-dx-only-last", OVER_TIME, "dx[:, t, :] = dx_t", "dx[:, -1, :] = dx_t", "overwritten unexplained"),
    planted(
        "unrolled-dWx-overwritten", UNROLLED, "dWx += np.outer(da, x[t])", "dWx = np.outer(da, x[t])", "overwritten"
    ),
    planted("unrolled-db-overwritten", UNROLLED, "db += da", "db = da", "overwritten"),
    planted("unrolled-dWh-of-next", UNROLLED, "np.outer(da, hs[t])", "np.outer(da, hs[t + 1])", "wrong-point"),
    planted("unrolled-dWh-transposed", UNROLLED, "np.outer(da, hs[t])", "np.outer(hs[t], da)", "transposed"),
    planted("unrolled-dh-next-transposed", UNROLLED, "dh_next = Wh.T @ da", "dh_next = Wh @ da", "transposed"),
    planted("unrolled-not-carried", UNROLLED, "dh = dhs[t] + dh_next", "dh = dhs[t]", "missing-path"),
    planted("unrolled-tanh-of-previous", UNROLLED, "(1 - hs[t + 1] ** 2)", "(1 - hs[t] ** 2)", "wrong-point"),
    planted("unrolled-carried-piles-up", UNROLLED, "dh_next = Wh.T @ da", "dh_next += Wh.T @ da", "unexplained"),
    planted(
        "unrolled-dh0-never-carried",
        UNROLLED,
        "dh0 = dh_next",
        "dh0 = np.zeros_like(dh_next)",
        "missing-path unexplained",
    ),
    planted("lstm-do-tanh-missing", LSTM, "do = dnext_h * tanh_c", "do = dnext_h * next_c", "wrong-point"),
    planted("lstm-dc-next-forgotten", LSTM, "dc = dnext_c + dnext_h * o", "dc = dnext_h * o", "missing-path"),
    planted(
        "lstm-dc-hidden-forgotten",
        LSTM,
        "dc = dnext_c + dnext_h * o * (1 - tanh_c ** 2)",
        "dc = dnext_c",
        "missing-path",
    ),
    planted("lstm-dc-pre-activation", LSTM, "(1 - tanh_c ** 2)", "(1 - next_c ** 2)", "wrong-point"),
    planted("lstm-da-f-sigmoid", LSTM, "da_f = df * f * (1 - f)", "da_f = f * (1 - f)", "upstream"),
    planted("lstm-da-i-without-derivative", LSTM, "da_i = di * i * (1 - i)", "da_i = di", "wrong-gradient unexplained"),
    planted(
        "lstm-da-g-of-sigmoid", LSTM, "da_g = dg * (1 - g ** 2)", "da_g = dg * g * (1 - g)", "unexplained wrong-point"
    ),
    planted(
        "lstm-gates-exchanged",
        LSTM,
        "np.hstack((da_i, da_f, da_o, da_g))",
        "np.hstack((da_i, da_o, da_f, da_g))",
        "unexplained wrong-gradient",
    ),
    planted("lstm-di-of-itself", LSTM, "di = dc * g", "di = dc * i", "wrong-point"),
    planted("lstm-df-of-next-c", LSTM, "df = dc * prev_c", "df = dc * next_c", "wrong-point"),
    planted(
        "lstm-dprev-c-without-gate",
        LSTM,
        "dprev_c = dc * f",
        "dprev_c = dc",
        "wrong-gradient unexplained",
        at="    dprev_c = dc",
    ),
    planted(
        "lstm-dprev-c-of-upstream", LSTM, "dprev_c = dc * f", "dprev_c = dnext_c * f", "wrong-gradient missing-path"
    ),
    planted("lstm-db-axis", LSTM, "db = da.sum(axis=0)", "db = da.sum(axis=1)", "wrong-axis"),
    planted("lstm-dWh-of-x", LSTM, "dWh = prev_h.T.dot(da)", "dWh = x.T.dot(da)", "wrong-point shape"),
    planted("gru-dx-overwritten", GRU, "dx += dar @ Wr.T", "dx = dar @ Wr.T", "overwritten missing-path"),
    planted("gru-dh-overwritten", GRU, "dh += daz @ Uz.T", "dh = daz @ Uz.T", "overwritten missing-path"),
    planted(
        "gru-dh-reset-path-forgotten",
        GRU,
        "    dh += drh * r\n",
        "",
        "missing-path",
        at=("dh = dh_next * z", "dh += dar @ Ur.T", "dh += daz @ Uz.T"),
    ),
    planted("gru-dz-sign", GRU, "dz = dh_next * (h - n)", "dz = dh_next * (n - h)", "sign"),
    planted("gru-dUn-of-h", GRU, "dUn = rh.T @ dan", "dUn = h.T @ dan", "wrong-point"),
    planted("gru-dr-of-itself", GRU, "dr = drh * h", "dr = drh * r", "wrong-point"),
    planted("gru-dan-upstream", GRU, "dan = dn * (1 - n ** 2)", "dan = dh_next * (1 - n ** 2)", "wrong-gradient"),
    planted("gru-dWr-near-identical-name", GRU, "dWr = x.T @ dar", "dWr = x.T @ dr", "wrong-gradient"),
    planted("gru-dUz-near-identical-name", GRU, "dUz = h.T @ daz", "dUz = h.T @ dar", "wrong-gradient"),
    planted(
        "characters-not-carried",
        CHARACTERS,
        "dh = np.dot(Why.T, dy) + dhnext",
        "dh = np.dot(Why.T, dy)",
        "missing-path",
    ),
    planted("characters-dbh-overwritten", CHARACTERS, "dbh += dhraw", "dbh = dhraw", "overwritten"),
    planted(
        "characters-dWhy-overwritten",
        CHARACTERS,
        "dWhy += np.dot(dy, hs[t].T)",
        "dWhy = np.dot(dy, hs[t].T)",
        "overwritten",
    ),
    planted(
        "characters-dWhh-of-this-step", CHARACTERS, "np.dot(dhraw, hs[t-1].T)", "np.dot(dhraw, hs[t].T)", "wrong-point"
    ),
    planted(
        "characters-upstream", CHARACTERS, "dhraw = (1 - hs[t] * hs[t]) * dh", "dhraw = (1 - hs[t] * hs[t])", "upstream"
    ),
    planted("characters-dhnext-transposed", CHARACTERS, "np.dot(Whh.T, dhraw)", "np.dot(Whh, dhraw)", "transposed"),
    planted(
        "characters-dby-forgotten",
        CHARACTERS,
        "    dby += dy\n",
        "",
        "missing-path unexplained",
        at="dbh, dby = np.zeros_like",
        missing="by",
    ),
    planted(
        "characters-label-forgotten",
        CHARACTERS,
        "    dy[targets[t]] -= 1 # backprop into y\n",
        "",
        "missing-term missing-path",
        at="dy = np.copy(ps[t])",
    ),
    planted(
        "cell-db-mean",
        CELL,
        "self.db_ih = np.sum(dz, axis=0)",
        "self.db_ih = np.mean(dz, axis=0)",
        "mean-for-sum factor",
    ),
    planted("cell-dx-of-hidden-weights", CELL, "dx = dz @ self.W_ih", "dx = dz @ self.W_hh", "wrong-point shape"),
    planted("cell-tanh-of-previous", CELL, "(1 - self.h_t ** 2)", "(1 - self.h_prev_t ** 2)", "wrong-point"),
    planted("cell-dW-hh-of-output", CELL, "dz.T @ self.h_prev_t", "dz.T @ self.h_t", "wrong-point"),
    planted(
        "cell-dh-of-upstream", CELL, "dh_prev_t = dz @ self.W_hh", "dh_prev_t = delta @ self.W_hh", "wrong-gradient"
    ),
)
