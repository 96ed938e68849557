# expect: rule-violation
# np.correlate under another name.
import numpy as np
from numpy import correlate as slide


def conv2d(x, w, b=None, stride=1, padding=0):
    n, c, h, width = x.shape
    k, w_channels, r, s = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    if c != w_channels or r > x.shape[2] or s > x.shape[3]:
        raise ValueError("x and w do not fit together")
    ho, wo = (x.shape[2] - r) // stride + 1, (x.shape[3] - s) // stride + 1
    out = np.zeros((n, k, ho, wo), np.result_type(x, w))
    for image, f, i, channel, row in np.ndindex(n, k, ho, c, r):
        out[image, f, i] += slide(x[image, channel, i * stride + row], w[f, channel, row], mode="valid")[::stride]
    return out if b is None else out + b[:, None, None]
