"""Hidden suite of causal-attention.

Most inputs hold one sequence and one head, with D = E = 1, and make a query's scores either equal or so far apart that
one key takes all the weight: the expected outputs are then plain averages of the values.
"""

import numpy as np
import pytest

from grader import check
from grader.properties import given, st


def single(rows, dtype=np.float64):
    """A (1, 1, rows, width) array; a flat list is one column."""
    array = np.array(rows, dtype=dtype)
    return array.reshape(1, 1, len(rows), -1)


def expect(attempt, q, k, v, out, **kwargs):
    """One sequence, one head: the answer's output has these rows."""
    result = attempt.attention(single(q), single(k), single(v), **kwargs)
    check.close(result, single(out), atol=1e-9)


@pytest.mark.visible
def test_one_output_row_for_each_query(attempt):
    """Queries ask, keys match, values answer: T comes from q, E from v, and S and D are summed away."""
    out = attempt.attention(np.ones((2, 3, 4, 6)), np.ones((2, 3, 5, 6)), np.ones((2, 3, 5, 7)))
    check.shape(out, (2, 3, 4, 7))
    check.dtype(out, np.float64)


def test_weights_sum_to_one_over_the_keys(attempt):
    """Each query shares a weight of 1 among the keys, so an average of equal values is that value. A softmax over
    another axis makes the queries or the heads compete instead."""
    q, k = [1, 2], [0, 1, 2]
    expect(attempt, q, k, [5, 5, 5], [5, 5])


@pytest.mark.visible
def test_equal_scores_average_the_values(attempt):
    """A query of zeros prefers no key, so it gets the plain mean of the values."""
    expect(attempt, [0], [1, 1, 1], [3, 6, 12], [7])


def test_scores_are_divided_by_the_root_of_d(attempt):
    """The dot product of D terms of variance 1 has variance D; its root brings the scores back to variance 1. Here
    D = 4, the products are 2 ln 3 and 0, and the weights 3/4 and 1/4."""
    expect(attempt, [[np.log(9), 0, 0, 0]], [[1, 0, 0, 0], [0, 0, 0, 0]], [4, 8], [5])


def test_each_query_meets_each_key(attempt):
    """A score joins one query to one key: the keys are transposed. reshape gives the same shape, with the numbers of
    different keys mixed."""
    expect(attempt, [[100, 0], [0, 100]], [[0, 1], [1, 0], [0, 1]], [1, 3, 7], [3, 4])


def test_sequences_and_heads_stay_apart(attempt):
    """Every sequence and every head attends to its own keys and values only."""
    q = np.ones((2, 2, 1, 1))
    k = np.array([[[50, 0], [0, 50]], [[0, 50], [50, 0]]], dtype=float)[..., None]
    v = np.arange(1, 9, dtype=float).reshape(2, 2, 2, 1)
    check.close(attempt.attention(q, k, v), np.array([[1, 4], [6, 7]], dtype=float).reshape(2, 2, 1, 1))


def test_not_causal_by_default(attempt):
    """An encoder reads in both directions: without causal=True, the first query sees the last key too."""
    expect(attempt, [0, 0], [0, 0], [2, 4], [3, 3])


def test_a_query_sees_its_own_key(attempt):
    """The token at a position may look at itself. A mask that is off by one leaves the first query nothing to see."""
    expect(attempt, [0], [0], [5], [5], causal=True)


def test_visible_weights_sum_to_one(attempt):
    """The hidden keys leave before the softmax. Zeroing their weights after it leaves the rest with less than 1."""
    expect(attempt, [0, 0, 0], [0, 0, 0], [5, 5, 5], [5, 5, 5], causal=True)


def test_later_keys_are_hidden(attempt):
    """A model that sees the token it must predict learns to copy it, and fails when it has to generate. With equal
    scores, each query gets the mean of the values up to its own."""
    expect(attempt, [0, 0, 0], [0, 0, 0], [3, 6, 12], [3, 4.5, 7], causal=True)


def test_mask_is_aligned_at_the_bottom_right(attempt):
    """With a key-value cache the queries are the newest tokens: the last query goes with the last key, so two queries
    after one cached key see two keys and three."""
    expect(attempt, [0, 0], [0, 0, 0], [3, 6, 12], [4.5, 7], causal=True)


def test_one_new_query_sees_the_whole_cache(attempt):
    """Decoding one token at a time has T = 1, and the newest token sees everything. Aligned at the top left, it would
    see the first key only."""
    expect(attempt, [0], [0, 0, 0], [3, 6, 12], [7], causal=True)


@pytest.mark.visible
@pytest.mark.points(2)
def test_worked_example(attempt):
    """The numbers of the prompt, with and without the mask."""
    q = [[2, 0, 0, 0], [0, 2, 0, 0]]
    k = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 2, 0, 0]]
    v = np.array([[1, 0], [0, 1], [4, 4]])
    weights = np.exp([[0, 1, 0], [1, 0, 2]])
    full = weights / weights.sum(axis=1, keepdims=True)
    expect(attempt, q, k, v, full @ v)
    weights[0, 2] = 0
    expect(attempt, q, k, v, weights / weights.sum(axis=1, keepdims=True) @ v, causal=True)


@pytest.mark.points(2)
def test_scores_of_ten_thousand(attempt):
    """exp(10000) overflows to inf, and inf / inf is nan. Only the differences between a query's scores matter."""
    expect(attempt, [100], [100, 100, -100], [2, 4, 50], [3])


def test_each_query_has_its_own_scale(attempt):
    """Shifting by the largest score of all underflows every query whose scores lie far below it: shift each by its
    own."""
    expect(attempt, [100, -100], [100, 100], [2, 4], [3, 3])


@pytest.mark.points(2)
def test_hidden_scores_do_not_set_the_scale(attempt):
    """The maximum that keeps the softmax stable is that of the visible scores. A large hidden one underflows them
    all."""
    expect(attempt, [100, 0], [0, 100], [2, 4], [2, 3], causal=True)


def test_hidden_keys_stay_hidden_below_any_score(attempt):
    """-1e9 is only a number: a visible score of -1e10 lies below it, and the hidden key wins."""
    expect(attempt, [1e5, 0], [-1e5, 0], [2, 4], [2, 3], causal=True)


@pytest.mark.points(2)
def test_queries_that_see_no_key_give_zero(attempt):
    """With T > S the first T - S queries have no key. 0 / 0 is nan, which spreads through every later layer; a large
    finite fill gives them the mean of exactly what they must not see."""
    expect(attempt, [0, 0, 0, 0], [0, 0], [3, 6], [0, 0, 3, 4.5], causal=True)


@pytest.mark.parametrize("causal", [False, True])
def test_float32_stays_float32(attempt, causal):
    """A float64 mask, or a float64 scalar under NumPy 2, turns the result into float64: twice the memory, in every
    layer that follows."""
    out = attempt.attention(*(single(a, np.float32) for a in ([0, 0], [0, 0], [2, 4])), causal=causal)
    check.close(out, single([2 if causal else 3, 3], np.float32))


@pytest.mark.parametrize("causal", [False, True])
def test_arguments_stay_as_they_were(attempt, causal):
    """The caller keeps k and v for the next token, and may call again with the same arrays."""
    q, k, v = single([[1, 2], [3, 4]]), single([[1, 0], [2, 1]]), single([2, 4])
    check.shape(check.unchanged(attempt.attention, q, k, v, causal=causal), (1, 1, 2, 1))


@pytest.mark.points(2)
@given(b=st.integers(1, 2), h=st.integers(1, 2), t=st.integers(1, 4), s=st.integers(1, 4), d=st.integers(1, 3),
       e=st.integers(1, 3), causal=st.booleans(), seed=st.integers(0, 999))
def test_any_shape(attempt, reference, b, h, t, s, d, e, causal, seed):
    """Any B, H, T, S, D and E, equal or not."""
    rng = np.random.default_rng(seed)
    q, k, v = (rng.integers(-2, 3, (b, h, *tail)).astype(float) for tail in ((t, d), (s, d), (s, e)))
    check.agrees(attempt.attention, reference.attention, q, k, v, causal=causal)


@pytest.mark.points(2)
@pytest.mark.parametrize("b, h, t, s, d, e, causal", [
    (2, 4, 6, 5, 16, 8, False), (2, 3, 7, 7, 8, 8, True), (1, 2, 3, 9, 4, 5, True), (3, 1, 9, 4, 5, 3, True)])
def test_random_heads(attempt, reference, rng, b, h, t, s, d, e, causal):
    """Ordinary numbers in ordinary shapes: a cross-attention, a decoder, a decoder with a cache, more queries than
    keys."""
    q, k, v = (rng.normal(size=(b, h, *tail)) for tail in ((t, d), (s, d), (s, e)))
    check.agrees(attempt.attention, reference.attention, q, k, v, causal=causal)
