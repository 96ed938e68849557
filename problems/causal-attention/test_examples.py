"""Run these as often as you like: pytest test_examples.py"""

import numpy as np
from attempt import attention


def test_one_output_row_for_each_query():
    out = attention(np.ones((2, 3, 4, 6)), np.ones((2, 3, 5, 6)), np.ones((2, 3, 5, 7)))
    assert out.shape == (2, 3, 4, 7)


def test_equal_scores_average_the_values():
    q, k, v = np.zeros((1, 1, 1, 2)), np.ones((1, 1, 3, 2)), np.array([[[[3.0], [6.0], [12.0]]]])
    np.testing.assert_allclose(attention(q, k, v), [[[[7.0]]]])


def test_worked_example():
    q = np.array([[[[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]]]])
    k = np.array([[[[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]]]])
    v = np.array([[[[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]]]])
    np.testing.assert_allclose(attention(q, k, v), [[[[1.0597, 1.4239], [2.9057, 2.7510]]]], atol=1e-4)
    np.testing.assert_allclose(attention(q, k, v, causal=True), [[[[0.2689, 0.7311], [2.9057, 2.7510]]]], atol=1e-4)
