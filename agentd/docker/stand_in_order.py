"""What the agent asks of a stand-in, as the words that its process is started with."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Order:
    """What the agent asks for. `go`: a file that has the container's engine id once it is created; `wake`: a FIFO, made here,
    into which somebody writes then. `reads`: (key, the directory of the task's cgroup, file), of which the engine's own cgroup
    below is read at the end. `has_init`: the engine's init is PID 1 in there, and the command its child.
    """

    __slots__ = ("api", "go", "has_init", "note", "reads", "socket", "wake")

    def __init__(self, words: Sequence[str]) -> None:
        self.socket, self.api, self.go, self.wake, self.note, has_init, *reads = words
        self.has_init = bool(has_init)
        self.reads = list(zip(reads[::3], reads[1::3], reads[2::3], strict=True))

    def cgroup_of(self, engine_id: str) -> str:
        """The engine's own cgroup, in one of the hierarchies; empty where none is known. It is made when a start begins."""
        return f"{self.reads[0][1]}/{engine_id}" if self.reads else ""


def order_words(
    *, socket: str, api: str, go: str, wake: str, note: str, reads: Sequence[tuple[str, str, str]], has_init: bool
) -> tuple[str, ...]:
    """An Order as arguments of its process."""
    words = (socket, api, go, wake, note, "init" if has_init else "")
    return (*words, *(word for read in reads for word in read))
