"""The contract of a containerizer: what the shell asks of it, and what it says back as events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentd.core.events import Event
from agentd.core.exit_record import ExitRecord
from agentd.docker.state import EngineState
from paddock.model.container import Container, ContainerConfig, UserIdentity
from paddock.model.ids import ContainerId
from paddock.model.statistics import EffectiveLimit, ResourceStatistics
from paddock.model.task import CommandInfo

Post = Callable[[Event], None]
"""Events go back through this, on the event loop's thread."""


class ExecSession(ABC):
    """One exec'd process. Its three pipe ends are the caller's to read, write and close."""

    pid: int
    stdin_fd: int
    stdout_fd: int
    stderr_fd: int

    @abstractmethod
    async def wait(self) -> int:
        """Its wait status. Raises Unavailable when the container's supervisor went away first."""

    @abstractmethod
    async def signal(self, number: int) -> None:
        """To the process alone."""

    @abstractmethod
    def abandon(self) -> None:
        """Instead of the caller: its pipes are closed, and it is killed. `wait` tells when it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A container that the log says had not ended. `same_boot` False: nothing of it can be alive."""

    container: Container
    same_boot: bool


class Containerizer(ABC):
    """Guarantees: no method blocks the event loop; every verb may be called again; each is answered by one event at least.

    prepare → Prepared | PrepareRefused · fetch → Fetched · launch → Started | LaunchFailed | Ended, later Ended ·
    kill → Ended · find_holders → HoldersFound, when there are any · resize → Resized · conclude → Concluded | Held.
    """

    @abstractmethod
    async def start(self) -> None:
        """Ready to launch. Raises ConfigError with the remedy."""

    @abstractmethod
    async def recover(self, restored: Sequence[Restored]) -> None:
        """Find every one of them: posts Started for the living, Ended for the others; destroys what is ours and unknown."""

    @abstractmethod
    def prepare(self, config: ContainerConfig) -> None:
        """Sandbox and plan, nothing visible."""

    @abstractmethod
    def fetch(self, config: ContainerConfig) -> None:
        """The command's URIs, into the sandbox of a container that was prepared."""

    @abstractmethod
    def cancel_fetch(self, container_id: ContainerId) -> None:
        """End it soon; it answers all the same. Unknown ids are no error."""

    @abstractmethod
    def launch(self, container_id: ContainerId) -> None:
        """What was prepared."""

    @abstractmethod
    def watch(self, container_id: ContainerId) -> None:
        """Ask the isolators about limits from now on; posts Limited."""

    @abstractmethod
    def look(self, container_id: ContainerId) -> None:
        """What became of one whose supervisor did not answer: Started, Ended or Held follows, sooner or later."""

    @abstractmethod
    def kill(self, container_id: ContainerId, signal: int, grace_ms: int) -> None:
        """The signal, then SIGKILL to everything. A later call may only shorten the grace."""

    @abstractmethod
    def find_holders(self, container_id: ContainerId) -> None:
        """Of a container that was killed and has not ended. Changes nothing."""

    @abstractmethod
    def resize(self, config: ContainerConfig) -> None:
        """Have the resources and limits of this config in force, or all of the earlier ones. One at a time per container."""

    @abstractmethod
    async def check_resize(self, config: ContainerConfig) -> None:
        """Whether the isolators would take this size. Changes nothing. Raises their refusal; the kernel is not asked."""

    @abstractmethod
    def conclude(self, config: ContainerConfig, record: ExitRecord | None, *, launched: bool) -> None:
        """Nothing may remain; the isolators' evidence; clean-up."""

    @abstractmethod
    def discard(self, container_id: ContainerId) -> None:
        """The agent's log says all that the exit record says."""

    @abstractmethod
    async def usage(self, container_ids: Sequence[ContainerId]) -> list[ResourceStatistics]:
        """In the order asked; what cannot be read is named in each."""

    @abstractmethod
    async def limits(self, container_id: ContainerId) -> tuple[EffectiveLimit, ...]:
        """What was asked, and what is in force."""

    @abstractmethod
    async def execute(self, container_id: ContainerId, command: CommandInfo, user: UserIdentity) -> ExecSession:
        """A further process in a running container. Raises ContainerizerError, NotFound."""

    def engines(self) -> Mapping[str, EngineState]:
        """How what others run for it is, by name: the Docker engine. The kernel is always there."""
        return {}

    @abstractmethod
    async def stop(self) -> None:
        """Let go of every container: they live on."""
