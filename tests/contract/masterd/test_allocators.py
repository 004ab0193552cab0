"""Each built-in allocator is what the master relies on."""

from __future__ import annotations

from masterd import allocators
from masterd.allocator.interface import Allocator, AllocatorSettings
from masterd.allocator_testing import AllocatorContract


class TestDrf(AllocatorContract):
    @staticmethod
    def make(settings: AllocatorSettings) -> Allocator:
        return allocators.create("drf", settings)


class TestRandom(AllocatorContract):
    @staticmethod
    def make(settings: AllocatorSettings) -> Allocator:
        return allocators.create("random", settings)


def test_every_built_in_one_is_here() -> None:
    shown = {type(contract.make(AllocatorSettings())) for contract in (TestDrf, TestRandom)}
    assert shown == set(allocators.BUILT_IN.values())
