"""The examples of the prompt, and a training run on little pictures of bars. Run them with:  pytest test_examples.py"""

import time

import numpy as np
import pytest
import torch
from attempt import affine, make_augment, random_affine, random_crop_flip, train

X = np.arange(1, 10).reshape(1, 1, 3, 3)


@pytest.mark.parametrize("angle, shift, shear, zoom, expected", [
    (0, (0, 0), 0, 1, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    (90, (0, 0), 0, 1, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
    (0, (1, 0), 0, 1, [[1, 2, 3], [1, 2, 3], [4, 5, 6]]),
    (0, (0, 0), 0, 3, [[5, 5, 5], [5, 5, 5], [5, 5, 5]]),
    (0, (0, 0), 45, 1, [[1, 1, 2], [4, 5, 6], [8, 9, 9]]),
    (90, (0, 1), 0, 1, [[3, 3, 6], [2, 2, 5], [1, 1, 4]]),
], ids=["identity", "angle", "shift", "zoom", "shear", "angle and shift"])
def test_affine(angle, shift, shear, zoom, expected):
    got = affine(X, np.array([angle], float), np.array([shift], float), np.array([shear], float),
                 np.array([zoom], float))
    np.testing.assert_array_equal(got[0, 0], expected)


def test_crop_is_a_window_of_the_padded_image():
    windows = [np.pad(X[0, 0], 1)[top:top + 3, left:left + 3].tolist() for top in range(3) for left in range(3)]
    got = random_crop_flip(np.repeat(X, 20, axis=0), np.random.default_rng(0), pad=1, p_flip=0.0)
    assert got.shape == (20, 1, 3, 3) and got.dtype == X.dtype
    assert all(image[0].tolist() in windows for image in got)


def test_flip_is_left_to_right():
    got = random_crop_flip(X, np.random.default_rng(0), pad=0, p_flip=1.0)
    np.testing.assert_array_equal(got, X[..., ::-1])


def test_bounds_of_zero_change_nothing():
    got = random_affine(X, np.random.default_rng(0), max_angle_deg=0, max_shift=0)
    np.testing.assert_array_equal(got, X)


@pytest.mark.parametrize("shape", [(4, 1, 28, 28), (1, 3, 32, 32)])
def test_augment_keeps_shape_and_dtype(shape):
    images = torch.randint(256, shape).to(torch.uint8)
    got = make_augment(0)(images)
    assert got.shape == shape and got.dtype == torch.uint8


def bars(n, seed):
    """Ten classes: a bright bar at one of ten heights, on noise. (n, 1, 28, 28) uint8 and (n,) int64."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(10, (n,), generator=generator)
    x = torch.randint(60, (n, 1, 28, 28), generator=generator)
    for image, label in zip(x[:, 0], y.tolist()):
        image[4 + 2 * label: 6 + 2 * label, 6:22] += 180
    return x.to(torch.uint8), y


def test_train_augments_training_images_only():
    torch.set_num_threads(1)
    (x, y), (x_val, y_val) = bars(100, seed=0), bars(20, seed=1)
    rows, given = {image.numpy().tobytes() for image in x}, []

    def augment(images):
        assert images.dtype == torch.uint8
        given.extend(image.numpy().tobytes() for image in images)
        return images.flip(3)  # a bar is a bar

    def log(**numbers):
        pass

    begin = time.monotonic()
    model = train(x, y, augment=augment, x_val=x_val, y_val=y_val, device="cpu", seed=0, time_budget_s=5.0, log=log)
    assert time.monotonic() - begin < 5.0 + 2.0
    assert given and set(given) <= rows
    with torch.no_grad():
        assert model(x_val).shape == (20, 10)
        torch.testing.assert_close(model(x_val[:1]), model(x_val)[:1], rtol=1e-3, atol=1e-3)
