# expect: wrong-answer test_images_and_filters_keep_their_axes
# (K, N, Ho, Wo) is reshaped to (N, K, Ho, Wo) instead of transposed.
import numpy as np


def conv2d(x, w, b=None, stride=1, padding=0):
    n, c, h, width = x.shape
    k, w_channels, r, s = w.shape
    if c != w_channels:
        raise ValueError(f"x has {c} channels, w has {w_channels}")
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (r, s), axis=(2, 3))[:, :, ::stride, ::stride]
    ho, wo = windows.shape[2:4]
    columns = windows.transpose(1, 4, 5, 0, 2, 3).reshape(c * r * s, n * ho * wo)
    out = w.reshape(k, c * r * s) @ columns
    if b is not None:
        out = out + b[:, None]
    return out.reshape(n, k, ho, wo)
