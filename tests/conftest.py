"""Annotations are checked while testing: array shapes, floating types and all."""

import os

import pytest
from hypothesis import Phase, settings
from jaxtyping import config, install_import_hook

# Before anything imports the package: pytest reads this file first. A float may be given as an int, as in PEP 484.
install_import_hook("twinfilters", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

settings.register_profile("developer", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
# For `make mutants`: what counts is whether a test fails, not on which example.
settings.register_profile(
    "mutants", settings.get_profile("ci"), max_examples=10, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture
def unchecked():
    """Leave the annotations unchecked, as they are for every user: wrong arguments reach the package's own errors."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def one_thread():
    """Keep PyTorch to one thread: the arrays are small, and the cores are busy with other tests."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
