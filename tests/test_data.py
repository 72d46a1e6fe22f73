"""Real digits, gratings, Gaussian inputs and teachers: shapes, ranges, classes."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from twinfilters.data import digits, gaussian_images, gratings, teacher_targets
from twinfilters.network import FilterNet


def test_all_digits_are_those_of_the_data_set():
    source, all_ten = load_digits(), digits()
    np.testing.assert_array_equal(all_ten.images[:, 0] * 16, source.images)
    np.testing.assert_array_equal(all_ten.labels, source.target)
    assert all_ten.images.shape == (1797, 1, 8, 8)
    assert all_ten.classes == tuple(range(10))


def test_grey_values_lie_between_paper_and_ink():
    images = digits().images
    assert images.min() == 0
    assert images.max() == 1


def test_two_classes_are_plus_and_minus_one_in_the_order_asked_for():
    data = digits(8, 3)
    assert set(data.labels.tolist()) == {3, 8}
    np.testing.assert_array_equal(data.targets[:, 0], np.where(data.labels == 8, 1.0, -1.0))
    np.testing.assert_array_equal(digits(3, 8).targets, -data.targets)
    np.testing.assert_array_equal(digits(3, 8).images, data.images)


def test_more_classes_are_one_hot_in_the_order_asked_for():
    data = digits(7, 1, 4)
    assert data.classes == (7, 1, 4)
    np.testing.assert_array_equal(data.targets.sum(axis=1), 1)
    np.testing.assert_array_equal(np.array(data.classes)[data.targets.argmax(axis=1)], data.labels)


def test_count_takes_the_first_images():
    few, many = digits(3, 8, count=7), digits(3, 8)
    assert few.images.shape == (7, 1, 8, 8)
    assert few.targets.shape == (7, 1)
    np.testing.assert_array_equal(few.images, many.images[:7])
    np.testing.assert_array_equal(few.labels, many.labels[:7])


def test_every_call_gives_arrays_of_its_own():
    digits(3, 8).images[:] = 7
    digits().images[:] = 7
    assert digits(3, 8).images.max() == 1
    assert digits().images.max() == 1


CLASSES = "classes must be two or more different digits 0 to 9, got "


@pytest.mark.parametrize(
    ("classes", "count", "message"),
    [
        ((3,), None, CLASSES + r"\(3,\)"),
        ((3, 3), None, CLASSES + r"\(3, 3\)"),
        ((3, 10), None, CLASSES + r"\(3, 10\)"),
        ((-1, 3), None, CLASSES + r"\(-1, 3\)"),
        (("3", "8"), None, CLASSES + r"\('3', '8'\)"),
        (([3, 8],), None, CLASSES + r"\(\[3, 8\],\)"),
        ((3.0, 8.0), None, CLASSES + r"\(3\.0, 8\.0\)"),
        ((3, [8]), None, CLASSES + r"\(3, \[8\]\)"),
        ((3, 8), 0, r"count must be an integer between 1 and 357 for the classes \(3, 8\), got 0"),
        ((3, 8), 358, r"count must be an integer between 1 and 357 for the classes \(3, 8\), got 358"),
        ((3, 8), 2.5, r"count must be an integer between 1 and 357 for the classes \(3, 8\), got 2\.5"),
        (
            (3, 8),
            float("nan"),
            r"count must be an integer between 1 and 357 for the classes \(3, 8\), got nan",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(classes, count, message):
    with pytest.raises(ValueError, match=message):
        digits(*classes, count=count)


def test_gratings_are_waves_across_their_orientation():
    waves = gratings(8, rng=np.random.default_rng(0), orientations=2, size=6, wavelength=3.0)
    assert waves.images.shape == (8, 1, 6, 6)
    assert waves.labels.tolist() == [0, 1] * 4
    np.testing.assert_array_equal(waves.targets[:, 0], [1, -1] * 4)
    for image, label in zip(waves.images[:, 0], waves.labels, strict=True):
        along, across = (image, image.T) if label == 0 else (image.T, image)
        # Constant along the stripes, and periodic with the wavelength across them.
        np.testing.assert_allclose(along, np.broadcast_to(along[0], along.shape), atol=1e-12)
        np.testing.assert_allclose(across[:3], across[3:], atol=1e-12)
    assert np.abs(waves.images).max() <= 1


def test_gratings_turn_by_equal_angles_and_carry_noise():
    three = gratings(300, rng=np.random.default_rng(0), orientations=3, size=8, wavelength=5.0)
    assert three.classes == (0, 1, 2)
    assert three.targets.shape == (300, 3)
    noisy = gratings(300, rng=np.random.default_rng(0), orientations=3, size=8, wavelength=5.0, noise=0.5)
    noise = noisy.images - three.images
    # 19200 samples: the standard deviation is known to 0.5 %, taken four times.
    assert abs(noise.std() - 0.5) < 0.01


def test_gaussian_images_are_normal():
    images = gaussian_images(500, rng=np.random.default_rng(0), channels=2, size=6)
    assert images.shape == (500, 2, 6, 6)
    # 36000 samples, four standard errors.
    assert abs(images.mean()) < 4 / np.sqrt(images.size)
    assert abs(images.var() - 1) < 4 * np.sqrt(2 / images.size)


def test_a_teacher_answers_as_the_network_does():
    rng = np.random.default_rng(0)
    teacher = FilterNet.random(rng, outputs=2)
    images = gaussian_images(4000, rng=rng, size=4)
    np.testing.assert_array_equal(teacher_targets(teacher, images), teacher.outputs(images))
    noise = teacher_targets(teacher, images, noise=0.1, rng=rng) - teacher.outputs(images)
    assert abs(noise.std() - 0.1) < 0.1 * 4 / np.sqrt(2 * noise.size)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda rng: gratings(0, rng=rng), "count must be an integer of at least 1, got 0"),
        (lambda rng: gratings(3, rng=rng, orientations=1), "orientations must be .* at least 2, got 1"),
        (
            lambda rng: gratings(3, rng=rng, wavelength=0.0),
            "wavelength must be positive .* got wavelength = 0.0",
        ),
        (lambda rng: gratings(3, rng=rng, noise=-1.0), "noise at least 0, .* noise = -1.0"),
        (lambda rng: gaussian_images(3, rng=rng, size=2.5), "size must be an integer of at least 1, got 2.5"),
        (
            lambda rng: teacher_targets(FilterNet.random(rng), np.ones((1, 1, 3, 3)), noise=1.0),
            "noise needs a numpy.random.Generator, got rng = None",
        ),
        (
            lambda rng: teacher_targets(FilterNet.random(rng), np.ones((1, 1, 3, 3)), noise=np.nan, rng=rng),
            "noise must be finite and at least 0, got nan",
        ),
    ],
)
def test_errors_of_drawn_data_say_what_was_wanted(call, match, unchecked):
    with pytest.raises(ValueError, match=match):
        call(np.random.default_rng(0))
