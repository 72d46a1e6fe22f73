import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from twinfilters import twins
from twinfilters.data import digits
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent
from twinfilters.stability import predict_gap
from twinfilters.threads import one_blas_thread


@pytest.fixture(autouse=True)
def two_threads():
    """Whatever the environment says, so that there is something to hold back."""
    with threadpool_limits(2):
        yield


def threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_products_are_made_on_one_thread_and_then_again_on_as_many_as_before():
    before = threads()
    with one_blas_thread():
        assert threads() == {1}
    assert threads() == before


def test_an_error_gives_the_threads_back():
    before = threads()
    try:
        with one_blas_thread():
            raise KeyError
    except KeyError:
        assert threads() == before


def test_a_prediction_is_made_on_one_thread():
    pair, seen = digits(3, 8, count=10), []

    class Watched(GradientDescent):
        def update(self, *arguments):
            seen.append(threads())
            return super().update(*arguments)

    net = twins.make_twins(FilterNet.random(np.random.default_rng(0)), gap=1e-6, rng=np.random.default_rng(1))
    predict_gap(net, *pair.examples, optimizer=Watched(learning_rate=0.1), steps=2)
    assert seen == [{1}, {1}]
