# expect: wrong-answer test_returns_a_new_array
# Keeps one output per shape and dtype and writes every result into it.
import numpy as np


BUFFERS = {}


def conv2d(x, w, b=None, stride=1, padding=0):
    """2-D cross-correlation by im2col: every window becomes a column, every filter a row, the rest is a matrix product.

    x: (N, C, H, W)   w: (K, C, R, S)   b: (K,) or None   ->   (N, K, Ho, Wo), Ho = (H + 2 * padding - R) // stride + 1
    """
    n, c, height, width = x.shape
    k, w_channels, r, s = w.shape
    if w_channels != c:
        raise ValueError(f"x has {c} channels, w has {w_channels}")

    # The result's dtype from the start: nothing wraps around, is cut off or widened on the way.
    inputs = [x, w] if b is None else [x, w, b]
    padded = np.zeros((n, c, height + 2 * padding, width + 2 * padding), np.result_type(*inputs))
    padded[:, :, padding:padding + height, padding:padding + width] = x
    if r > padded.shape[2] or s > padded.shape[3]:
        raise ValueError(f"the kernel, {r} x {s}, exceeds the padded image, {padded.shape[2]} x {padded.shape[3]}")

    windows = np.lib.stride_tricks.sliding_window_view(padded, (r, s), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]            # (N, C, Ho, Wo, R, S), still a view
    ho, wo = windows.shape[2:4]
    columns = windows.transpose(0, 1, 4, 5, 2, 3)          # (N, C, R, S, Ho, Wo): a window in the order of w
    columns = columns.reshape(n, c * r * s, ho * wo)       # the one large copy
    out = w.reshape(k, c * r * s) @ columns                # (N, K, Ho * Wo)
    if b is not None:
        out += b[:, None]                                  # along K; b alone would be added along Ho * Wo
    out = out.reshape(n, k, ho, wo)
    kept = BUFFERS.setdefault((out.shape, out.dtype), np.empty_like(out))
    kept[:] = out
    return kept
