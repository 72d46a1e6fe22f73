import gzip
import json
from itertools import combinations

import numpy as np
from node import run_node

from twinfilters.data import digits
from twinfilters.lab.digits import IMAGES, packed


def test_each_pair_of_classes_has_the_package_s_images():
    theirs = run_node("answer(DIGITS)")
    labels, images = np.array(theirs["labels"]), np.array(theirs["images"]).reshape(-1, 1, 8, 8)
    for pair in combinations(range(10), 2):
        ours = digits(*pair, count=IMAGES)
        chosen = np.flatnonzero(np.isin(labels, pair))[:IMAGES]
        np.testing.assert_array_equal(labels[chosen], ours.labels)
        np.testing.assert_array_equal(images[chosen], ours.images)


def test_they_are_small():
    assert len(gzip.compress(json.dumps(packed()).encode())) < 20_000
