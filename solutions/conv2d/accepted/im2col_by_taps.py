"""im2col filled tap by tap, (C R S, N Ho Wo), with a single matrix product for the whole batch."""

import numpy as np


def im2col(x, r, s, stride, padding):
    """(N, C, H, W) -> (C * R * S, N * Ho * Wo), and (Ho, Wo)."""
    n, c, h, width = x.shape
    ho, wo = (h + 2 * padding - r) // stride + 1, (width + 2 * padding - s) // stride + 1
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    columns = np.empty((c, r, s, n, ho, wo), x.dtype)
    for i in range(r):
        for j in range(s):
            tap = x[:, :, i:i + stride * ho:stride, j:j + stride * wo:stride][:, :, :ho, :wo]
            columns[:, i, j] = tap.transpose(1, 0, 2, 3)
    return columns.reshape(c * r * s, n * ho * wo), (ho, wo)


def conv2d(x, w, b=None, stride=1, padding=0):
    k, c, r, s = w.shape
    if x.shape[1] != c:
        raise ValueError("different channels")
    if x.shape[2] + 2 * padding < r or x.shape[3] + 2 * padding < s:
        raise ValueError("kernel larger than the padded image")
    columns, (ho, wo) = im2col(x, r, s, stride, padding)
    out = w.reshape(k, c * r * s).dot(columns)
    if b is not None:
        out = out + b.reshape(k, 1)
    return np.ascontiguousarray(out.reshape(k, len(x), ho, wo).swapaxes(0, 1))
