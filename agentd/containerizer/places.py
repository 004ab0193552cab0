"""Where the native containerizer's things are on this host, and how what is left of a container is ended."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentd.containerizer.exit_records import converted
from agentd.containerizer.holders import describe_holders
from agentd.containerizer.plan_json import PlanPlaces
from agentd.containerizer.spare_records import SpareRecords
from agentd.core.exit_record import ExitRecord
from isolators.contract import HostFacts
from paddock.kernel.processes import read_boot_id
from paddock.launch import protocol, sweep
from paddock.launch.ear import unready_path
from paddock.launch.ending import Identity
from paddock.launch.plan import CgroupPlace
from paddock.launch.record import is_held, temporary_path
from paddock.model.errors import ContainerizerError
from paddock.model.ids import ContainerId

EAR_TIMEOUT_S = 2.0
SWEEP_TIMEOUT_S = 5.0
_LOOK_AGAIN_S = 0.005
_TAKE_PLACE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Two directories of root's own, 0700: one durable, one whose loss costs only connections."""

    records_dir: str
    sockets_dir: str
    spares: SpareRecords
    forbidden: set[ContainerId] = field(default_factory=set)

    @classmethod
    def at(cls, records_dir: str, sockets_dir: str) -> Places:
        """Touches nothing."""
        return cls(records_dir=records_dir, sockets_dir=sockets_dir, spares=SpareRecords(records_dir))

    def make(self) -> None:
        """Both, whatever the umask. Raises OSError."""
        for path in (self.records_dir, self.sockets_dir):
            os.makedirs(path, mode=0o700, exist_ok=True)
            os.chmod(path, 0o700)
        self.spares.find()

    def record(self, container_id: ContainerId) -> str:
        """Its exit record."""
        return f"{self.records_dir}/{container_id}.json"

    def ear(self, container_id: ContainerId) -> str:
        """Its shim's socket."""
        return f"{self.sockets_dir}/{container_id}.sock"

    def of(self, container_id: ContainerId, host: HostFacts) -> PlanPlaces:
        """For its plan."""
        return PlanPlaces(
            record=self.record(container_id),
            socket=self.ear(container_id),
            cgroup=host.place(container_id),
            spare_record=self.spares.take(container_id),
            syncs_name=self.spares.are_steady,
        )

    def connect(self, container_id: ContainerId) -> socket.socket | None:
        """To its shim; None when there is none. One that lives opens its ear soon after its last caller has gone."""
        deadline_s = time.monotonic() + EAR_TIMEOUT_S
        while True:
            connection = self._connect_once(container_id)
            if connection is not None or not is_held(self.record(container_id)) or time.monotonic() > deadline_s:
                return connection
            time.sleep(_LOOK_AGAIN_S)

    def _connect_once(self, container_id: ContainerId) -> socket.socket | None:
        """An address ends at 108 bytes, a path does not: hence the descriptor."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        directory = os.open(self.sockets_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{container_id}.sock")
        except OSError:
            connection.close()
            return None
        finally:
            os.close(directory)
        return connection

    def cgroups_left(self, container_id: ContainerId, host: HostFacts) -> tuple[str, ...]:
        """Its directories that are still there."""
        return tuple(path for _, path in host.place(container_id).directories if os.path.isdir(path))

    def holders(self, container_id: ContainerId, host: HostFacts) -> str:
        """Who is still in its cgroups, in words; empty when nobody is."""
        return describe_holders(self.cgroups_left(container_id, host))

    def sweep(
        self, container_id: ContainerId, host: HostFacts, timeout_s: float = SWEEP_TIMEOUT_S
    ) -> ExitRecord | None:
        """End what a dead shim left; its record, None when nothing of it was ever made. Blocks for seconds at worst.

        A shim makes the cgroups first: where they are, its command may have run, whatever else there is not. Raises
        ContainerizerError with what the kernel still holds; then it is to be tried again.
        """
        planned = None
        if self.cgroups_left(container_id, host):
            identity = Identity(host.agent_id, container_id, read_boot_id())
            planned = sweep.Remains(identity, self._place(container_id, host))
        try:
            found = sweep.sweep(self.record(container_id), planned, timeout_s)
        except (OSError, protocol.ProtocolError) as error:
            # While its shim lives nobody else ends what is in there.
            is_busy = isinstance(error, BlockingIOError)
            who = "" if is_busy else self.holders(container_id, host)
            raise ContainerizerError(container_id, "destroy", "; ".join(filter(None, (str(error), who)))) from None
        return None if found is None else converted(found, container_id)

    def forbid(self, container_id: ContainerId) -> None:
        """No launch of it, however late, may come to anything: of an earlier agent's one may still be under way.

        The empty file stands where its record would begin, and stays for this agent's life; the next one sweeps it up.
        Raises ContainerizerError when the launch was faster.
        """
        try:
            os.close(os.open(temporary_path(self.record(container_id)), _TAKE_PLACE, 0o600))
        except OSError as error:
            raise ContainerizerError(container_id, "destroy", f"its launch is under way: {error.strerror}") from None
        self.forbidden.add(container_id)

    @staticmethod
    def _place(container_id: ContainerId, host: HostFacts) -> CgroupPlace:
        return CgroupPlace(host.cgroup_mode, dict(host.place(container_id).directories))

    def discard(self, container_ids: Iterable[ContainerId]) -> None:
        """Records and sockets; what is not there is no error."""
        # Of many containers at once little more than the records is there: two lists cost less than three tries for each.
        there = {*_paths_in(self.records_dir), *_paths_in(self.sockets_dir)}
        for container_id in container_ids:
            if container_id in self.forbidden:
                continue
            record = self.record(container_id)
            if record in there:
                self.spares.give(record)
            self.spares.take_back(container_id)
            ear = self.ear(container_id)
            # A shim may have died between its ear's two names.
            for path in there & {temporary_path(record), ear, unready_path(ear)}:
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    pass

    def unknown(self, known: set[ContainerId], host: HostFacts) -> tuple[ContainerId, ...]:
        """Containers of this agent, by their cgroups, records and sockets, that are not among the known ones."""
        found = set(sweep.list_containers(host.agent_id, host.cgroup_mode, dict(host.cgroup_roots)))
        found |= {name.partition(".json")[0] for name in os.listdir(self.records_dir) if ".json" in name}
        ears = {name.removesuffix(".new") for name in os.listdir(self.sockets_dir)}
        found |= {name.removesuffix(".sock") for name in ears if name.endswith(".sock")}
        return tuple(sorted(ContainerId(name) for name in found - known - {"launcher"}))


def _paths_in(directory: str) -> list[str]:
    try:
        return [f"{directory}/{name}" for name in os.listdir(directory)]
    except FileNotFoundError:
        return []
