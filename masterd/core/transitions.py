"""What may become of agents and frameworks: the tables."""

from __future__ import annotations

from enum import Enum

from masterd.core.views import AgentState, FrameworkState


class AgentEvent(Enum):
    """What moves an agent from state to state."""

    REGISTER = "register"
    STREAM_LOST = "stream lost"
    SILENT = "silent"


class FrameworkEvent(Enum):
    """What moves a framework from state to state."""

    SUBSCRIBE = "subscribe"
    STREAM_LOST = "stream lost"
    EXPIRE = "expire"
    TEARDOWN = "teardown"


AGENT_TRANSITIONS: dict[tuple[AgentState, AgentEvent], AgentState] = {
    (AgentState.RECOVERED, AgentEvent.REGISTER): AgentState.CONNECTED,
    (AgentState.RECOVERED, AgentEvent.SILENT): AgentState.UNREACHABLE,
    (AgentState.CONNECTED, AgentEvent.STREAM_LOST): AgentState.DISCONNECTED,
    (AgentState.CONNECTED, AgentEvent.SILENT): AgentState.UNREACHABLE,
    (AgentState.DISCONNECTED, AgentEvent.REGISTER): AgentState.CONNECTED,
    (AgentState.DISCONNECTED, AgentEvent.SILENT): AgentState.UNREACHABLE,
    (AgentState.UNREACHABLE, AgentEvent.REGISTER): AgentState.CONNECTED,
}

FRAMEWORK_TRANSITIONS: dict[tuple[FrameworkState, FrameworkEvent], FrameworkState] = {
    (FrameworkState.RECOVERED, FrameworkEvent.SUBSCRIBE): FrameworkState.SUBSCRIBED,
    (FrameworkState.RECOVERED, FrameworkEvent.EXPIRE): FrameworkState.COMPLETED,
    (FrameworkState.RECOVERED, FrameworkEvent.TEARDOWN): FrameworkState.COMPLETED,
    (FrameworkState.SUBSCRIBED, FrameworkEvent.SUBSCRIBE): FrameworkState.SUBSCRIBED,
    (FrameworkState.SUBSCRIBED, FrameworkEvent.STREAM_LOST): FrameworkState.DISCONNECTED,
    (FrameworkState.SUBSCRIBED, FrameworkEvent.TEARDOWN): FrameworkState.COMPLETED,
    (FrameworkState.DISCONNECTED, FrameworkEvent.SUBSCRIBE): FrameworkState.SUBSCRIBED,
    (FrameworkState.DISCONNECTED, FrameworkEvent.EXPIRE): FrameworkState.COMPLETED,
    (FrameworkState.DISCONNECTED, FrameworkEvent.TEARDOWN): FrameworkState.COMPLETED,
}
