# expect: rule-violation
# np.convolve does the sliding.
import numpy as np


def conv2d(x, w, b=None, stride=1, padding=0):
    n, c, h, width = x.shape
    k, w_channels, r, s = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    if c != w_channels or r > x.shape[2] or s > x.shape[3]:
        raise ValueError("x and w do not fit together")
    ho, wo = (x.shape[2] - r) // stride + 1, (x.shape[3] - s) // stride + 1
    out = np.zeros((n, k, ho, wo), np.result_type(x, w))
    for image in range(n):
        for f in range(k):
            for i in range(ho):
                for channel in range(c):
                    for row in range(r):
                        line = x[image, channel, i * stride + row]
                        out[image, f, i] += np.convolve(line, w[f, channel, row, ::-1], mode="valid")[::stride]
    return out if b is None else out + b[:, None, None]
