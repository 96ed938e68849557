# expect: wrong-answer test_channels_are_summed
# Sums the image over its channels first, then multiplies by the summed kernel: (sum x)(sum w) is not sum(x w).
import numpy as np


def conv2d(x, w, b=None, stride=1, padding=0):
    n, c, h, width = x.shape
    k, w_channels, r, s = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    if c != w_channels:
        raise ValueError(f"x has {c} channels, w has {w_channels}")
    if r > x.shape[2] or s > x.shape[3]:
        raise ValueError("the kernel is larger than the padded image")
    ho = (x.shape[2] - r) // stride + 1
    wo = (x.shape[3] - s) // stride + 1
    dtype = np.result_type(x, w) if b is None else np.result_type(x, w, b)
    out = np.zeros((n, k, ho, wo), dtype)
    for i in range(r):
        for j in range(s):
            pixels = x[:, :, i:i + stride * (ho - 1) + 1:stride, j:j + stride * (wo - 1) + 1:stride]
            out += np.einsum("nhw,k->nkhw", pixels.sum(axis=1), w[:, :, i, j].sum(axis=1))
    if b is not None:
        out += b[:, None, None]
    return out
