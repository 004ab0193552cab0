"""What a launcher tells of itself, so that an agent can write down what its commands are to be rid of."""

from __future__ import annotations

from paddock.launch import protocol
from paddock.launch.protocol import ProtocolError

BOOT_ID_CHARACTERS = 36


class LauncherFacts:
    """What a launcher has, to be taken from or given to commands. `permitted`, `bounding`: capabilities, as masks.

    `open_files`: (soft, hard) before the launcher raised it for itself. `shares_memory`: a command's child may share its
    shim's memory on its way. `oom_score_adj`: what its children are born with. `boot_id`: of its host.
    """

    __slots__ = ("boot_id", "bounding", "oom_score_adj", "open_files", "permitted", "shares_memory")

    def __init__(self, permitted: int, bounding: int, open_files: tuple[int, int]) -> None:
        self.permitted = permitted
        self.bounding = bounding
        self.open_files = open_files
        self.oom_score_adj = 0
        self.shares_memory = False
        self.boot_id = ""

    def to_json(self) -> dict[str, object]:
        """The plan's form, and that of the launcher's answer to a ping."""
        return {
            "permitted": self.permitted,
            "bounding": self.bounding,
            "open_files": list(self.open_files),
            "oom_score_adj": self.oom_score_adj,
            "shares_memory": self.shares_memory,
            "boot_id": self.boot_id,
        }


def decode_facts(value: object) -> LauncherFacts:
    """What a launcher has told of itself."""
    fields = protocol.mapping(value, "launcher")
    permitted, bounding = (protocol.integer(fields.get(key), f"launcher.{key}", 0) for key in ("permitted", "bounding"))
    limits = protocol.sequence(fields.get("open_files"), "launcher.open_files", 2)
    if len(limits) != 2:
        raise ProtocolError("launcher.open_files", "must be the soft and the hard limit")
    soft, hard = (protocol.integer(limit, "launcher.open_files", 0) for limit in limits)
    facts = LauncherFacts(permitted, bounding, (soft, hard))
    facts.oom_score_adj = protocol.integer(fields.get("oom_score_adj"), "launcher.oom_score_adj", -1000, 1000)
    facts.shares_memory = protocol.boolean(fields.get("shares_memory"), "launcher.shares_memory")
    facts.boot_id = protocol.text(fields.get("boot_id"), "launcher.boot_id", BOOT_ID_CHARACTERS)
    return facts
