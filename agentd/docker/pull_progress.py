"""How far a pull is, from the engine's lines. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agentd.docker.fields import Fields

_HAVE = frozenset({"Pull complete", "Already exists"})
_COMING = frozenset(
    {"Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum", "Download complete", "Extracting"}
)
_LAYERS_LIMIT_COUNT = 1024
"""More than any image has: what a registry makes up beyond is not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """`total_bytes`: of the layers whose size is known so far, as they are sent, which is compressed."""

    layers_count: int
    have_count: int
    current_bytes: int
    total_bytes: int

    def __str__(self) -> str:
        done, total = (f"{count / (1 << 20):.1f}" for count in (self.current_bytes, self.total_bytes))
        return f"{self.have_count} of {self.layers_count} layers, {done} of {total} MiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    current_bytes: int = 0
    total_bytes: int = 0
    is_here: bool = False


@dataclass(slots=True)
class PullLines:
    """All lines of one pull so far."""

    error: str = ""
    """In the engine's or the registry's words; empty: none yet."""
    is_whole: bool = False
    """The line came with which a pull that succeeded ends."""
    _layers: dict[str, _Layer] = field(default_factory=dict)

    @property
    def progress(self) -> PullProgress:
        """Of all layers together."""
        layers = self._layers.values()
        return PullProgress(
            layers_count=len(layers),
            have_count=sum(layer.is_here for layer in layers),
            current_bytes=sum(layer.current_bytes for layer in layers),
            total_bytes=sum(layer.total_bytes for layer in layers),
        )

    def take(self, line: dict[str, object]) -> None:
        """The next one. Raises EngineFailure when it makes no sense."""
        fields = Fields(line, "pull")
        self.error = fields.inside("errorDetail").text("message") or fields.text("error") or self.error
        status = fields.text("status")
        self.is_whole = self.is_whole or status.startswith("Status: ")
        name = fields.text("id")
        if not name or (name not in self._layers and len(self._layers) >= _LAYERS_LIMIT_COUNT):
            return
        layer = self._layers.get(name, _Layer())
        if status in _HAVE:
            self._layers[name] = replace(layer, is_here=True, current_bytes=layer.total_bytes)
        elif status == "Downloading":
            detail = fields.inside("progressDetail")
            current, total = detail.number("current"), detail.number("total")
            self._layers[name] = _Layer(current_bytes=min(current, total), total_bytes=total)
        elif status == "Download complete":
            self._layers[name] = replace(layer, current_bytes=layer.total_bytes)
        elif status in _COMING:
            self._layers[name] = layer
