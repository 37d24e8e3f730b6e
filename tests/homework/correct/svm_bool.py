import numpy as np

def multiclass_svm(scores, y):
    """scores: of shape (N, C); y: of shape (N,) labels.  Returns loss, dscores"""
    n = scores.shape[0]
    true = scores[range(n), y]
    margins = np.maximum(0, scores - true[:, np.newaxis] + 1.0)
    margins[range(n), y] = 0
    loss = np.sum(margins) / n

    positive = margins > 0
    count = positive.sum(axis=1)
    dscores = positive.astype(float)
    dscores[range(n), y] -= count
    dscores = dscores / n
    return loss, dscores
