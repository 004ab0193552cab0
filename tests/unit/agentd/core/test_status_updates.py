"""One in flight, in order, repeated with growing pauses until acknowledged."""

from agentd.core.status_updates import PENDING_LIMIT_COUNT, RETRY_FIRST_NS, RETRY_LIMIT_NS, StatusStream
from paddock.model.ids import TaskId
from paddock.model.task import StatusSource, TaskState, TaskStatus


def status(number: int, state: TaskState = TaskState.RUNNING) -> TaskStatus:
    return TaskStatus(task_id=TaskId("t"), state=state, source=StatusSource.AGENT, uuid=number.to_bytes(16, "big"))


def test_the_pauses_double_up_to_ten_minutes() -> None:
    stream = StatusStream(pending=[status(1)])
    now_ns = 5
    pauses = []
    for _ in range(9):
        assert stream.take_due(now_ns) == status(1)
        assert stream.retry_at_ns is not None
        pauses.append(stream.retry_at_ns - now_ns)
        assert stream.take_due(stream.retry_at_ns - 1) is None
        now_ns = stream.retry_at_ns
    assert pauses[:3] == [RETRY_FIRST_NS, 2 * RETRY_FIRST_NS, 4 * RETRY_FIRST_NS]
    assert pauses[-1] == RETRY_LIMIT_NS == 600 * 10**9


def test_only_the_head_is_sent_and_acknowledged() -> None:
    stream = StatusStream(pending=[status(1), status(2)])
    assert stream.take_due(0) == status(1)
    assert not stream.awaits(status(2).uuid)
    assert stream.awaits(status(1).uuid)
    stream.remove(status(1).uuid)
    assert stream.take_due(1) == status(2)
    assert not stream.awaits(status(1).uuid)


def test_a_new_connection_begins_with_ten_seconds_again() -> None:
    stream = StatusStream(pending=[status(1)])
    stream.take_due(0)
    stream.take_due(RETRY_FIRST_NS)
    stream.pause()
    assert stream.take_due(RETRY_FIRST_NS + 1) == status(1)
    assert stream.retry_at_ns == 2 * RETRY_FIRST_NS + 1


def test_an_empty_stream_has_nothing() -> None:
    stream = StatusStream()
    assert stream.take_due(0) is None
    assert not stream.awaits(b"")


def test_what_waits_is_bounded_and_every_state_is_told() -> None:
    stream = StatusStream()
    for number in range(1000):
        stream.append(status(number))
    for number in range(1000, 1100):
        stream.append(status(number, TaskState.KILLING))
    stream.append(status(1100, TaskState.KILLED))
    assert len(stream.pending) == PENDING_LIMIT_COUNT
    assert stream.head == status(0)
    assert [each.state for each in stream.pending[-2:]] == [TaskState.KILLING, TaskState.KILLED]
    numbers = [int.from_bytes(each.uuid, "big") for each in stream.pending]
    assert numbers == sorted(numbers)
    assert {each.state for each in stream.pending} == {TaskState.RUNNING, TaskState.KILLING, TaskState.KILLED}
