"""What a master's core is made of when it starts: enough to make the same one again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from masterd import allocators
from masterd.allocator.interface import AllocatorSettings
from masterd.core.recovery import Remembered, recover
from masterd.core.state import MasterState, Settings
from paddock.model.agent import MasterInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """`seed` is that of all randomness. `format` says how a recording that begins with it is to be read."""

    format: int
    version: str
    allocator: str
    allocator_settings: AllocatorSettings
    settings: Settings
    master: MasterInfo
    remembered: Remembered
    seed: int
    now_ns: int
    wall_ns: int

    def state(self) -> MasterState:
        """Nobody is connected yet. Raises ConfigError when the allocator is not there."""
        return recover(
            self.remembered,
            master=self.master,
            settings=self.settings,
            allocator=allocators.create(self.allocator, self.allocator_settings),
            shuffler=random.Random(self.seed),
            now_ns=self.now_ns,
            wall_ns=self.wall_ns,
        )
