import numpy as np


def attention_forward(Q: "B T D", K: "B S D", V: "B S E"):
    scores = Q @ K.transpose(0, 2, 1) / np.sqrt(Q.shape[2])
    exps = np.exp(scores - np.max(scores, axis=2, keepdims=True))
    weights = exps / np.sum(exps, axis=2, keepdims=True)
    out = weights @ V
    return out
