"""Real digits: shapes, ranges, classes."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from twinfilters.data import digits


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
