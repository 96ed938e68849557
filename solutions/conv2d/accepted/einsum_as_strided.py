"""Windows by hand-made strides, contracted by einsum."""

import numpy as np


def conv2d(x, w, b=None, stride=1, padding=0):
    xp = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    n, c, h, width = xp.shape
    k, cw, r, s = w.shape
    if c != cw:
        raise ValueError("channels differ")
    if r > h or s > width:
        raise ValueError("kernel too large")
    image, channel, row, column = xp.strides
    windows = np.lib.stride_tricks.as_strided(
        xp, shape=(n, c, (h - r) // stride + 1, (width - s) // stride + 1, r, s),
        strides=(image, channel, row * stride, column * stride, row, column), writeable=False)
    out = np.einsum("nchwrs,kcrs->nkhw", windows, w, optimize=True)
    return out if b is None else out + b.reshape(1, -1, 1, 1)
