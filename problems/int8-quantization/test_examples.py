"""Run these as often as you like: pytest test_examples.py"""

import numpy as np
from attempt import dequantize, int8_matmul, quantize_affine, quantize_per_channel


def test_worked_example():
    q, scale, zero_point = quantize_affine(np.array([-1.0, 0.0, 0.5, 1.55]))
    assert q.dtype == np.int8
    np.testing.assert_array_equal(q, [-128, -28, 22, 127])
    np.testing.assert_allclose(scale, 0.01)
    assert zero_point == -28


def test_values_come_back_within_half_a_step():
    x = np.array([-1.0, 0.0, 0.3333, 1.55])
    q, scale, zero_point = quantize_affine(x)
    np.testing.assert_allclose(dequantize(q, scale, zero_point), x, rtol=0, atol=scale / 2 + 1e-12)


def test_each_channel_has_its_own_scale():
    q, scale, zero_point = quantize_per_channel(np.array([[0.0, 51.0], [-2.55, 0.0]]))
    np.testing.assert_array_equal(q, [[-128, 127], [-128, 127]])
    np.testing.assert_allclose(scale, [[0.2], [0.01]])
    np.testing.assert_array_equal(zero_point, [[-128], [127]])


def test_zero_points_do_not_wrap_in_the_product():
    qa, qb = np.array([[100, -100]], dtype=np.int8), np.array([[7], [3]], dtype=np.int8)
    np.testing.assert_allclose(int8_matmul(qa, 0.5, -28, qb, 0.1, 2), [[28.4]])
