"""The visible examples. Run them:  pytest test_examples.py"""

import numpy as np
from attempt import conv2d

IMAGE = np.array([[1, 1, 1, 0, 0],
                  [0, 1, 1, 1, 0],
                  [0, 0, 1, 1, 1],
                  [0, 0, 1, 1, 0],
                  [0, 1, 1, 0, 0]], dtype=float).reshape(1, 1, 5, 5)


def test_symmetric_kernel():
    w = np.array([[1, 0, 1],
                  [0, 1, 0],
                  [1, 0, 1]], dtype=float).reshape(1, 1, 3, 3)
    out = conv2d(IMAGE, w)
    np.testing.assert_allclose(out, [[[[4, 3, 4], [2, 4, 3], [2, 3, 4]]]], atol=1e-9)


def test_kernel_is_not_flipped():
    w = np.array([[1, 2, 0],
                  [0, 1, 0],
                  [0, 0, -1]], dtype=float).reshape(1, 1, 3, 3)
    out = conv2d(IMAGE, w)
    np.testing.assert_allclose(out, [[[[3, 3, 1], [1, 3, 4], [-1, 3, 4]]]], atol=1e-9)


def test_channels_are_summed():
    x = np.array([[[[1, 2], [3, 4]],
                   [[10, 20], [30, 40]]]], dtype=float)  # (1, 2, 2, 2)
    w = np.array([1, 2], dtype=float).reshape(1, 2, 1, 1)
    np.testing.assert_allclose(conv2d(x, w), [[[[21, 42], [63, 84]]]], atol=1e-9)


def test_stride_on_both_axes():
    x = np.arange(15, dtype=float).reshape(1, 1, 3, 5)
    w = np.ones((1, 1, 1, 1))
    np.testing.assert_allclose(conv2d(x, w, stride=2), [[[[0, 2, 4], [10, 12, 14]]]], atol=1e-9)
