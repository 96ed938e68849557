"""The definition, index by index; padding is a bounds check instead of a copy."""

import numpy as np


def conv2d(x, w, b=None, stride=1, padding=0):
    n_images, channels, height, width = x.shape
    n_filters, w_channels, kernel_height, kernel_width = w.shape
    if channels != w_channels:
        raise ValueError("x and w have different channels")
    if kernel_height > height + 2 * padding or kernel_width > width + 2 * padding:
        raise ValueError("the kernel is larger than the padded image")
    out_height = (height + 2 * padding - kernel_height) // stride + 1
    out_width = (width + 2 * padding - kernel_width) // stride + 1
    dtype = np.result_type(x, w) if b is None else np.result_type(x, w, b)
    out = np.zeros((n_images, n_filters, out_height, out_width), dtype)
    for n in range(n_images):
        for k in range(n_filters):
            for i in range(out_height):
                for j in range(out_width):
                    total = dtype.type(0 if b is None else b[k])
                    for c in range(channels):
                        for r in range(kernel_height):
                            for s in range(kernel_width):
                                row, column = i * stride + r - padding, j * stride + s - padding
                                if 0 <= row < height and 0 <= column < width:
                                    total += dtype.type(x[n, c, row, column]) * dtype.type(w[k, c, r, s])
                    out[n, k, i, j] = total
    return out
