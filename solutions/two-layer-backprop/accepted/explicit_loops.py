"""One row at a time, one number at a time: plain Python in float64, cast at the end."""

import math

import numpy as np


def two_layer_net(x, y, w1, b1, w2, b2):
    n, d = x.shape
    hidden, classes = w2.shape
    dw1 = [[0.0] * hidden for _ in range(d)]
    db1 = [0.0] * hidden
    dw2 = [[0.0] * classes for _ in range(hidden)]
    db2 = [0.0] * classes
    loss = 0.0

    for row, label in zip(x.tolist(), y.tolist()):
        h = []
        for j in range(hidden):
            pre = float(b1[j])
            for i in range(d):
                pre += row[i] * float(w1[i, j])
            h.append(pre if pre > 0 else 0.0)
        logits = []
        for c in range(classes):
            total = float(b2[c])
            for j in range(hidden):
                total += h[j] * float(w2[j, c])
            logits.append(total)

        top = max(logits)
        log_z = top + math.log(sum(math.exp(z - top) for z in logits))
        loss += (log_z - logits[label]) / n

        error = [(math.exp(z - log_z) - (c == label)) / n for c, z in enumerate(logits)]
        for c in range(classes):
            db2[c] += error[c]
            for j in range(hidden):
                dw2[j][c] += h[j] * error[c]
        for j in range(hidden):
            if h[j] > 0:
                back = sum(error[c] * float(w2[j, c]) for c in range(classes))
                db1[j] += back
                for i in range(d):
                    dw1[i][j] += row[i] * back

    lists = {"w1": dw1, "b1": db1, "w2": dw2, "b2": db2}
    return loss, {name: np.array(values, dtype=w1.dtype) for name, values in lists.items()}
