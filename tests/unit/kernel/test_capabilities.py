"""Capabilities' names and numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel import capabilities
from paddock.kernel.errors import KernelError


def test_known_numbers() -> None:
    assert capabilities.NUMBERS["CAP_CHOWN"] == 0
    assert capabilities.NUMBERS["CAP_SYS_ADMIN"] == 21
    assert capabilities.NUMBERS["CAP_CHECKPOINT_RESTORE"] == 40


@given(st.sets(st.sampled_from(capabilities.NAMES)))
def test_round_trip(names: set[str]) -> None:
    assert set(capabilities.names_of(capabilities.mask_of(tuple(names)))) == names


def test_unknown_ones() -> None:
    with pytest.raises(KernelError) as refused:
        capabilities.mask_of(("CAP_CHOWN", "CAP_FLY"))
    assert refused.value.value == "CAP_FLY"
    assert capabilities.names_of(1 << 50) == ("CAP_50",)
