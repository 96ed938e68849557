"""One number at a time in plain Python, whose integers cannot wrap and whose round() sends ties to even."""

import itertools

import numpy as np


def parameters(values):
    lo, hi = min(min(values), 0.0), max(max(values), 0.0)
    scale = (hi - lo) / 255 if hi > lo else 1.0
    return scale, round(-128 - lo / scale)


def to_int8(value, scale, zero_point):
    return max(-128, min(127, round(value / scale) + zero_point))


def quantize_affine(x):
    values = [float(value) for value in x.ravel()]
    scale, zero_point = parameters(values)
    q = np.array([to_int8(value, scale, zero_point) for value in values], dtype=np.int8)
    return q.reshape(x.shape), scale, zero_point


def quantize_per_channel(w, axis=0):
    axis %= w.ndim
    shape = [size if i == axis else 1 for i, size in enumerate(w.shape)]
    channels = [[] for _ in range(w.shape[axis])]
    for index in itertools.product(*map(range, w.shape)):
        channels[index[axis]].append(float(w[index]))
    found = [parameters(values) for values in channels]
    q = np.empty(w.shape, dtype=np.int8)
    for index in itertools.product(*map(range, w.shape)):
        q[index] = to_int8(float(w[index]), *found[index[axis]])
    scales, zero_points = zip(*found)
    return q, np.array(scales).reshape(shape), np.array(zero_points).reshape(shape)


def dequantize(q, scale, zero_point):
    scales, zero_points = np.broadcast_to(scale, q.shape), np.broadcast_to(zero_point, q.shape)
    out = np.empty(q.shape)
    for index in itertools.product(*map(range, q.shape)):
        out[index] = (int(q[index]) - int(zero_points[index])) * float(scales[index])
    return out


def int8_matmul(qa, sa, za, qb, sb, zb):
    columns = qb.shape[1]
    sb, zb = np.broadcast_to(sb, (1, columns))[0], np.broadcast_to(zb, (1, columns))[0].tolist()
    out = np.empty((len(qa), columns))
    for i, row in enumerate(qa.tolist()):
        for j, column in enumerate(qb.T.tolist()):
            total = sum((a - za) * (b - zb[j]) for a, b in zip(row, column))
            out[i, j] = total * float(sa) * float(sb[j])
    return out
