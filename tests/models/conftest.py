"""Fixtures of the models' tests."""

import pytest

from tests.small import make_spec


@pytest.fixture(params=[("spikes", "count"), ("lfp", "linear"), ("lfp", "conv")], ids=lambda p: p[1])
def spec(request):
    return make_spec(*request.param)
