"""Threads of the linear algebra library.

The matrix products of one small network take microseconds; threads that share one spend longer waiting for each other,
and many times longer where other work keeps a processor busy. So what makes thousands of small products makes them on
one thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold the linear algebra library to one thread, in a ``with`` block or as a decorator."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Find the libraries that are loaded, which takes tens of milliseconds."""
    return ThreadpoolController()
