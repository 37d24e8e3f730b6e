"""Mistakes in batch and layer normalisation."""

from tests.homework.mistakes.planted import planted

STAGED = "batchnorm_staged.py:batchnorm"
PAPER = "batchnorm_paper.py:batchnorm"
SHORT = "batchnorm_short.py:batchnorm"
PLAIN = "batchnorm_no_zero_term.py:batchnorm"
LAYER = "layernorm.py:layernorm"
CMU = "batchnorm_cmu.py:BatchNorm1d"
SPATIAL = "spatial_batchnorm.py:spatial_batchnorm"

NORMALIZATION = (
    planted("bn-staged-dbeta-not-summed", STAGED, "dbeta = np.sum(dout, axis=0)", "dbeta = dout", "not-summed"),
    planted(
        "bn-staged-dgamma-axis", STAGED, "np.sum(dgammax*xhat, axis=0)", "np.sum(dgammax*xhat, axis=1)", "wrong-axis"
    ),
    planted(
        "bn-staged-dgamma-of-xmu", STAGED, "np.sum(dgammax*xhat, axis=0)", "np.sum(dgammax*xmu, axis=0)", "wrong-point"
    ),
    planted(
        "bn-staged-dxhat-without-gamma",
        STAGED,
        "dxhat = dgammax * gamma",
        "dxhat = dgammax",
        "wrong-gradient unexplained",
        at="  dxhat = dgammax",
    ),
    planted(
        "bn-staged-divar-not-summed", STAGED, "divar = np.sum(dxhat*xmu, axis=0)", "divar = dxhat*xmu", "not-summed"
    ),
    planted("bn-staged-dsqrtvar-sign", STAGED, "dsqrtvar = -1. /", "dsqrtvar = 1. /", "sign"),
    planted("bn-staged-dvar-half", STAGED, "dvar = 0.5 * 1. /", "dvar = 1. /", "factor"),
    planted(
        "bn-staged-dvar-upstream",
        STAGED,
        "0.5 * 1. /np.sqrt(var+eps) * dsqrtvar",
        "0.5 * 1. /np.sqrt(var+eps)",
        "upstream",
    ),
    planted("bn-staged-dsq-division", STAGED, "dsq = 1. /N * np.ones((N,D))", "dsq = np.ones((N,D))", "factor"),
    planted("bn-staged-sq-factor", STAGED, "dxmu2 = 2 * xmu * dsq", "dxmu2 = xmu * dsq", "factor"),
    planted("bn-staged-dx1-one-path", STAGED, "dx1 = (dxmu1 + dxmu2)", "dx1 = dxmu1", "missing-path"),
    planted("bn-staged-dmu-sign", STAGED, "dmu = -1 * np.sum", "dmu = np.sum", "sign"),
    planted(
        "bn-staged-dmu-other-path",
        STAGED,
        "np.sum(dxmu1+dxmu2, axis=0)",
        "np.sum(dxmu2, axis=0)",
        "missing-path",
    ),
    planted("bn-staged-dx-one-path", STAGED, "dx = dx1 + dx2", "dx = dx1", "missing-path", at="  dx = dx1"),
    planted("bn-staged-dx-difference", STAGED, "dx = dx1 + dx2", "dx = dx1 - dx2", "sign"),
    planted("bn-paper-dvar-sign", PAPER, "* -0.5 *", "* 0.5 *", "sign"),
    planted(
        "bn-paper-precedence",
        PAPER,
        "* -0.5 * (var + eps) ** (-1.5)",
        "* -0.5 * (var + eps) ** (-3) / 2",
        "unexplained wrong-point",
    ),
    planted(
        "bn-paper-dvar-not-summed", PAPER, "(var + eps) ** (-1.5), axis=0)", "(var + eps) ** (-1.5))", "wrong-axis"
    ),
    planted("bn-paper-dmean-sign", PAPER, "dmean = np.sum(-dx_norm", "dmean = np.sum(dx_norm", "sign"),
    planted("bn-paper-dx-mean-forgotten", PAPER, " + dmean / N", "", "missing-path missing-term", at="dx = dx_norm /"),
    planted(
        "bn-paper-dx-variance-forgotten",
        PAPER,
        " + dvar * 2 * (x - mean) / N",
        "",
        "missing-path missing-term",
        at="dx = dx_norm /",
    ),
    planted("bn-paper-dx-factor", PAPER, "dvar * 2 * (x - mean) / N", "dvar * (x - mean) / N", "factor"),
    planted("bn-paper-dx-division", PAPER, "dvar * 2 * (x - mean) / N", "dvar * 2 * (x - mean)", "factor"),
    planted(
        "bn-paper-dgamma-without-xhat",
        PAPER,
        "dgamma = np.sum(dout * x_norm, axis=0)",
        "dgamma = np.sum(dout * x, axis=0)",
        "wrong-point",
    ),
    planted("bn-paper-dbeta-mean", PAPER, "dbeta = np.sum(dout", "dbeta = np.mean(dout", "mean-for-sum factor"),
    planted("bn-paper-without-gamma", PAPER, "dx_norm = dout * gamma", "dx_norm = dout", "wrong-gradient unexplained"),
    planted(
        "bn-short-dbeta-forgotten", SHORT, "N * dout - dbeta - xhat", "N * dout - xhat", "missing-term missing-path"
    ),
    planted(
        "bn-short-dgamma-forgotten", SHORT, " - xhat * dgamma)", ")", "missing-term missing-path", at="dx = (1. / N)"
    ),
    planted("bn-short-division", SHORT, "dx = (1. / N) * gamma", "dx = gamma", "factor"),
    planted("bn-short-sign", SHORT, "- xhat * dgamma", "+ xhat * dgamma", "sign"),
    planted("bn-short-N-forgotten", SHORT, "(N * dout - dbeta", "(dout - dbeta", "factor"),
    planted("bn-plain-dvar-sign", PLAIN, "* -0.5 * inv_std ** 3", "* 0.5 * inv_std ** 3", "sign"),
    planted("bn-plain-dx-factor", PLAIN, "dvar * 2.0 * xc / m", "dvar * xc / m", "factor"),
    planted("bn-plain-mean-forgotten", PLAIN, " + dmu / m", "", "missing-path missing-term", at="dx = dx_hat"),
    planted("bn-plain-dgamma-of-xc", PLAIN, "np.sum(x_hat * dout, axis=0)", "np.sum(xc * dout, axis=0)", "wrong-point"),
    planted(
        "bn-plain-dmu-not-summed",
        PLAIN,
        "dmu = -np.sum(dx_hat, axis=0) * inv_std",
        "dmu = -dx_hat * inv_std",
        "not-summed",
    ),
    planted("ln-dgamma-axis", LAYER, "(dout * norm.T).sum(axis=0)", "(dout * norm.T).sum(axis=1)", "wrong-axis"),
    planted("ln-dbeta-mean", LAYER, "dbeta = dout.sum(axis=0)", "dbeta = dout.mean(axis=0)", "mean-for-sum factor"),
    planted("ln-dx-division", LAYER, "/ (D * std)", "/ std", "factor"),
    planted("ln-dx-sign", LAYER, "- norm * (dnorm", "+ norm * (dnorm", "sign"),
    planted(
        "ln-dx-mean-forgotten", LAYER, "D * dnorm - dnorm.sum(axis=0) -", "D * dnorm -", "missing-term missing-path"
    ),
    planted("ln-dx-not-transposed", LAYER, "dx = dxT.T", "dx = dxT", "transposed"),
    planted("ln-without-gamma", LAYER, "dnorm = (dout * gamma).T", "dnorm = dout.T", "unexplained wrong-gradient"),
    planted(
        "bn-cmu-dLdBb-axis",
        CMU,
        "self.dLdBb = np.sum(dLdBZ, axis=0, keepdims=True)",
        "self.dLdBb = np.sum(dLdBZ, axis=1, keepdims=True)",
        "wrong-axis",
    ),
    planted("bn-cmu-third-term-forgotten", CMU, "term1 + term2 + term3", "term1 + term2", "missing-path missing-term"),
    planted("bn-cmu-factor", CMU, "dLdV * (2 / self.N)", "dLdV * (1 / self.N)", "factor"),
    planted("bn-cmu-dLdM-second-only", CMU, "dLdM = first + second", "dLdM = second", "missing-path missing-term"),
    planted("bn-cmu-without-weights", CMU, "dLdNZ = dLdBZ * self.BW", "dLdNZ = dLdBZ", "wrong-gradient unexplained"),
    planted(
        "bn-cmu-dLdV-power",
        CMU,
        "(self.V + self.eps) ** (-1.5)",
        "(self.V + self.eps) ** (-0.5)",
        "unexplained wrong-point",
    ),
    planted(
        "spatial-axes-not-moved-back",
        SPATIAL,
        "dx = dx_flat.reshape(N, H, W, C).transpose(0, 3, 1, 2)",
        "dx = dx_flat.reshape(N, C, H, W)",
        "transposed wrong-axis unexplained",
    ),
    planted(
        "spatial-height-and-width-exchanged",
        SPATIAL,
        "dx = dx_flat.reshape(N, H, W, C).transpose(0, 3, 1, 2)",
        "dx = dx_flat.reshape(N, H, W, C).transpose(0, 3, 2, 1)",
        "transposed wrong-axis",
    ),
    planted(
        "spatial-dout-axes-not-moved",
        SPATIAL,
        "dout_flat = dout.transpose(0, 2, 3, 1).reshape(-1, C)",
        "dout_flat = dout.reshape(-1, C)",
        "transposed wrong-axis unexplained",
    ),
)
