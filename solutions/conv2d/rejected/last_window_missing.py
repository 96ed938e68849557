# expect: wrong-answer test_symmetric_kernel
# The + 1 of the output size is forgotten.
import numpy as np


def conv2d(x, w, b=None, stride=1, padding=0):
    n, c, h, width = x.shape
    k, w_channels, r, s = w.shape
    if c != w_channels:
        raise ValueError(f"x has {c} channels, w has {w_channels}")
    if r > h + 2 * padding or s > width + 2 * padding:
        raise ValueError("the kernel is larger than the padded image")
    ho = (h + 2 * padding - r) // stride
    wo = (width + 2 * padding - s) // stride
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dtype = np.result_type(x, w) if b is None else np.result_type(x, w, b)
    out = np.zeros((n, k, ho, wo), dtype)
    for i in range(ho):
        for j in range(wo):
            top, left = i * stride, j * stride
            patch = x[:, :, top:top + r, left:left + s]
            out[:, :, i, j] = np.tensordot(patch, w, axes=((1, 2, 3), (1, 2, 3)))
    if b is not None:
        out += b[:, None, None]
    return out
