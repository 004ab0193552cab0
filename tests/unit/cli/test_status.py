"""What `paddock status` says, and leaves out."""

from __future__ import annotations

from paddock.cli.status import lines_of, row_of
from paddock.rpc.clients.views_from_wire import state_view
from paddock.wire.v1 import operator_service_pb2 as pb
from paddock.wire.v1 import parties_pb2, policy_service_pb2, tasks_pb2

MINUTE_S = 60


def amounts(**milli: int) -> policy_service_pb2.Amounts:
    return policy_service_pb2.Amounts(milli=milli)


def test_everything_at_one_look() -> None:
    message = pb.MasterState(
        master=parties_pb2.MasterInfo(master_id="m-1", address="host:5050", version="1.2", epoch=3),
        agents=pb.AgentCounts(active=3, awaited=1, draining=2),
        frameworks=pb.FrameworkCounts(active=1, ended=4),
        tasks=[
            pb.TaskCount(state=tasks_pb2.TASK_RUNNING, count=7),
            pb.TaskCount(state=77, count=1),  # type: ignore[arg-type]
        ],
        role_count=2,
        offer_count=5,
        recovering=True,
        problem="its disk is full",
        resources=pb.ClusterResources(
            total=amounts(cpus=4_000, mem=10), used=amounts(cpus=1_500), free=amounts(cpus=1)
        ),
    )
    message.started.seconds = 10 * MINUTE_S
    state = state_view(message)
    assert list(lines_of(state, 15 * MINUTE_S * 10**9)) == [
        ("Master", "m-1, version 1.2, at host:5050"),
        ("Since", "1970-01-01T00:10:00.000Z (5m), epoch 3"),
        ("Agents", "3 active, 1 not back since the master's start"),
        ("", "of these 2 draining"),
        ("Frameworks", "1 active, 4 ended"),
        ("Tasks", "7 running, 1 state 77"),
        ("Roles", "2"),
        ("Offers", "5"),
        ("Offers wait", "for the agents to come back, because roles have quotas"),
        ("Problem", "the master promises nothing new: its disk is full"),
    ]
    assert row_of(state, "cpus").cells == ("cpus", "4", "1.5", "0", "0.001", "0", "0")
    assert row_of(state, "mem").cells[:2] == ("mem/MiB", "0.01"), "a number says of what it is"


def test_an_empty_cluster() -> None:
    told = dict(lines_of(state_view(pb.MasterState(master=parties_pb2.MasterInfo(master_id="m"))), 0))
    assert (told["Agents"], told["Frameworks"], told["Tasks"], told["Offers"]) == ("none", "none", "none", "0")
    assert not {"Offers wait", "Problem"} & told.keys()
