"""Tests that need a CUDA device: skipped without one, and failed where one was promised."""

import os

import pytest

from composer import cuda


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") is None or cuda.count():
        return
    if os.environ.get("COMPOSER_REQUIRE_CUDA") == "1":
        pytest.fail(
            "there is no CUDA device, and COMPOSER_REQUIRE_CUDA=1 asks for one", pytrace=False
        )
    pytest.skip("there is no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.cuda)], ids=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """Where a test runs: everywhere on the CPU, and on CUDA where there is a device."""
    name: str = request.param
    return name
