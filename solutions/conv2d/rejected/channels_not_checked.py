# expect: wrong-answer test_different_channels_are_an_error
# einsum broadcasts a single channel: wrong weights go unnoticed.
import numpy as np


def conv2d(x, w, b=None, stride=1, padding=0):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    # sliding_window_view raises ValueError where the kernel is larger than the padded image
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    out = np.einsum("nchwrs,kcrs->nkhw", windows, w)
    return out if b is None else out + b[:, None, None]
