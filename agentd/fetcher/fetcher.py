"""The agent's side of fetching: an outside program for each URI, downloads shared by who waits for them, one deadline."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from agentd.fetcher.cache import FetchCache, Key
from agentd.fetcher.failure import FetchFailure
from agentd.outside.programs import ProgramFailed, Programs
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.errors import ContainerizerError
from paddock.model.uri import CommandUri

_PROGRAM = "agentd.fetcher.work"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBounds:
    """What an operator sets."""

    deadline_s: float
    stall_s: float
    least_bytes_per_s: int
    size_limit_bytes: int


@dataclass(slots=True, kw_only=True)
class _Download:
    """One download into the cache, and how many wait for it. Its result is a descriptor for reading."""

    work: asyncio.Task[int]
    waiting_count: int = 0


@dataclass(slots=True, kw_only=True)
class Fetcher:
    """For the event loop's thread. `environment`: the agent's own, for proxies and certificates."""

    programs: Programs
    cache: FetchCache
    bounds: FetchBounds
    environment: Mapping[str, str]
    _downloads: dict[Key, _Download] = field(default_factory=dict)
    _cache_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Raises OSError."""
        self.programs.clear()
        await asyncio.to_thread(self.cache.make)

    async def fetch(self, config: ContainerConfig) -> None:
        """All URIs of its command, in order. Raises ContainerizerError naming the URI and the cause.

        When it returns, or is cancelled, nothing of it runs any more.
        """
        uri = config.command.uris[0]
        try:
            async with asyncio.timeout(self.bounds.deadline_s):
                for uri in config.command.uris:
                    await self._fetch(uri, config)
        except FetchFailure as failure:
            why = failure.message
        except TimeoutError:
            why = f"all URIs together had {self.bounds.deadline_s:g} s (--fetcher-timeout), and that was not enough"
        except ProgramFailed as error:
            why = str(error)
        except OSError as error:
            why = f"the fetcher cannot work: {error}"
        else:
            return
        raise ContainerizerError(config.container_id, "fetch", f"{uri.value}: {why}")

    async def _fetch(self, uri: CommandUri, config: ContainerConfig) -> None:
        if not uri.cache:
            path = self.cache.new_path()
            fd = await _opened(lambda: self.cache.begin_unnamed(path))
            try:
                await self._run(uri, config.user, fd, download=True, sandbox=config.sandbox)
            finally:
                os.close(fd)
            return
        key = Key(uri.value, config.user.uid)
        async with self._cache_lock:
            fd = await _opened(lambda: self.cache.open(key))
        if fd >= 0:
            try:
                await self._run(uri, config.user, fd, download=False, sandbox=config.sandbox)
            except FetchFailure as failure:
                if not failure.stale:
                    raise
                await asyncio.to_thread(self.cache.drop, key)
            else:
                return
            finally:
                os.close(fd)
        fd = await self._shared_download(key, uri, config.user)
        try:
            await self._run(uri, config.user, fd, download=False, sandbox=config.sandbox)
        except FetchFailure as failure:
            if failure.stale:
                await asyncio.to_thread(self.cache.drop, key)
            raise
        finally:
            os.close(fd)

    async def _shared_download(self, key: Key, uri: CommandUri, user: UserIdentity) -> int:
        """A descriptor of one's own. The download ends with the last who waits for it."""
        download = self._downloads.get(key)
        if download is None:
            work = asyncio.get_running_loop().create_task(self._download(key, uri, user))
            download = self._downloads[key] = _Download(work=work)
        download.waiting_count += 1
        try:
            return os.dup(await asyncio.shield(download.work))
        finally:
            download.waiting_count -= 1
            if not download.waiting_count:
                await self._end(key, download)

    async def _end(self, key: Key, download: _Download) -> None:
        if self._downloads.get(key) is download:
            del self._downloads[key]
        download.work.cancel()
        (result,) = await asyncio.gather(download.work, return_exceptions=True)
        if isinstance(result, int):
            os.close(result)

    async def _download(self, key: Key, uri: CommandUri, user: UserIdentity) -> int:
        path, fd = self.cache.new_path(), -1
        try:
            fd = await _opened(lambda: self.cache.begin(path))
            await self._run(uri, user, fd, download=True, sandbox="")
            async with self._cache_lock:
                await _to_its_end(lambda: self.cache.keep(key, fd, path))
        except BaseException:
            if fd >= 0:
                os.close(fd)
            self.cache.discard(path)
            raise
        finally:
            # Who comes from now on finds it in the cache, or begins anew.
            if self._downloads.get(key) is not None and self._downloads[key].work is asyncio.current_task():
                del self._downloads[key]
        return fd

    async def _run(self, uri: CommandUri, user: UserIdentity, fd: int, *, download: bool, sandbox: str) -> None:
        proxies = self._proxies()
        archive = uri.archive
        answer = await self.programs.run(
            _PROGRAM,
            {
                "uri": uri.value,
                "download": download,
                "stall_ms": round(self.bounds.stall_s * 1000),
                "least_bytes_per_s": self.bounds.least_bytes_per_s,
                "limit_bytes": self.bounds.size_limit_bytes,
                "ca_file": self.environment.get("SSL_CERT_FILE", ""),
                "proxy_names": list(proxies),
                "proxy_values": list(proxies.values()),
                # Who only downloads checks nothing: others, who wait for the same, may ask for another checksum.
                "checksum": uri.checksum if sandbox else "",
                "sandbox": sandbox,
                "name": uri.file_name,
                "archive": archive.value if archive else "",
                "executable": uri.executable,
            },
            user,
            fd,
        )
        if "error" in answer:
            raise FetchFailure(str(answer["error"]), stale=bool(answer.get("stale")))
        _log.info("uri fetched", extra={"uri": uri.value, "size_bytes": answer.get("bytes"), "download": download})

    def _proxies(self) -> dict[str, str]:
        """As urllib names them."""
        return {name.removesuffix("_proxy"): value for name in _PROXIES if (value := self.environment.get(name, ""))}


async def _to_its_end(call: Callable[[], T]) -> T:
    """On another thread, and waited for even by who is cancelled: nothing that it uses may go before it."""
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait((work,))
        raise


async def _opened(call: Callable[[], int]) -> int:
    """The descriptor that the call opens; closed again when nobody is there to take it."""
    found: list[int] = []
    try:
        await _to_its_end(lambda: found.append(call()))
        return found[0]
    except asyncio.CancelledError:
        for fd in found:
            if fd >= 0:
                os.close(fd)
        raise
