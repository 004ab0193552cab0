"""Persistent volumes in the machine: what is durable before what, told again, used, destroyed, and found on the disk."""

from dataclasses import replace

from agentd.core import effects, events, recovery
from agentd.core.durable import VolumeGone, VolumesMade, VolumesTold
from agentd.core.effects import ArrangeVolumes, Effect, RemoveVolume
from agentd.core.state import new_state
from agentd.core.volumes import REMOVE_AGAIN_NS
from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import parse_resources
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from paddock.model.volumes import DestroyedVolume, VolumeKey
from tests.unit.agentd.core import made
from tests.unit.agentd.core.test_machine import C, Story, answer, entries, kinds

V1 = VolumeKey(role="r", persistence_id="v1")
D1 = DestroyedVolume(destroy_id="1-1-1", volume=V1)
D2 = DestroyedVolume(destroy_id="1-2-2", volume=V1)


def volume(key: VolumeKey = V1, milli: int = 10_000) -> Resource:
    return Resource(
        name="disk",
        value=Scalar(milli=milli),
        reservations=(Reservation(role=key.role, dynamic=True),),
        volume=DiskVolume(persistence_id=key.persistence_id),
    )


class VolumeStory(Story):
    def __init__(self) -> None:
        super().__init__()
        self.state.total = self.state.free = made.TOTAL + parse_resources("disk:100")
        self.tell(events.MasterConnected())

    def told(self, *volumes: Resource, destroyed: tuple[DestroyedVolume, ...] = ()) -> tuple[Effect, ...]:
        return self.tell(events.MasterVolumes(volumes=Resources(volumes), destroyed=destroyed))

    def use(self) -> tuple[Effect, ...]:
        resources = made.ONE + Resources((volume(),))
        config = replace(made.config("c1", task_id="t1"), resources=resources.allocated_to("r"))
        launch = events.TaskLaunch(task=made.task("t1", resources=resources), config=config)
        return self.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))

    def restarted(self) -> "VolumeStory":
        """A new agent that knows what a snapshot of this one says."""
        again = VolumeStory()
        again.machine.state = again.state = new_state(
            agent_id=made.AGENT, boot_id=made.BOOT, total=self.state.total, ended_limit_count=10
        )
        recovery.restore(again.state, recovery.snapshot(self.state))
        again.tell(events.MasterConnected())
        return again


def test_a_directory_is_made_first_and_written_down_then() -> None:
    story = VolumeStory()
    found = story.told(volume())
    assert kinds(found) == ["Checkpoint", "ArrangeVolumes"]
    assert entries(found) == [VolumesTold(volumes=Resources((volume(),)))]
    assert found[-1] == ArrangeVolumes(make=(V1,), expect=(), leaving=())
    assert story.state.free == made.TOTAL + parse_resources("disk:90")
    found = story.tell(events.VolumesArranged(made=(V1,)))
    assert entries(found) == [VolumesMade(volumes=(V1,))]
    assert found[-1] == effects.SendVolumesFound(troubled=(), unknown=())


def test_told_again_nothing_is_written_and_what_is_missing_is_not_made_anew() -> None:
    story = VolumeStory()
    story.told(volume())
    story.tell(events.VolumesArranged(made=(V1,)))
    story = story.restarted()
    found = story.told(volume())
    assert found == (ArrangeVolumes(make=(), expect=(V1,), leaving=()),)
    story.tell(events.VolumesArranged(made=(), troubled=((V1, "it is not there"),)))
    looked, refused = story.use()
    assert looked == ArrangeVolumes(make=(), expect=(V1,), leaving=())
    assert isinstance(refused, effects.SendLaunchRefused)
    assert refused.message == "task t1: volume v1 of role r: it is not there"
    # Put back: it was looked at again, and can be used.
    story.tell(events.VolumesArranged(made=()))
    assert "Prepare" in kinds(story.use())


def test_a_crash_before_it_is_written_down_makes_it_again() -> None:
    story = VolumeStory()
    story.told(volume())
    assert story.restarted().told(volume())[-1] == ArrangeVolumes(make=(V1,), expect=(), leaving=())


def test_a_volume_takes_its_disk_once_however_it_is_used() -> None:
    story = VolumeStory()
    story.told(volume())
    story.use()
    assert story.state.free == made.TOTAL - made.ONE + parse_resources("disk:90")
    story.tell(events.Prepared(container_id=C))
    story.start()
    story.end()
    assert story.state.free == made.TOTAL + parse_resources("disk:90")
    story.told(volume(milli=40_000))
    assert story.state.free == made.TOTAL + parse_resources("disk:60")
    story.told()
    assert story.state.free == story.state.total


def test_a_volume_that_the_master_has_not_told_of_is_not_given() -> None:
    (refused,) = [each for each in VolumeStory().use() if isinstance(each, effects.SendLaunchRefused)]
    assert "volume v1 of role r: the master has not told" in refused.message


def test_a_standalone_container_has_no_volumes() -> None:
    config = replace(made.config("c1"), resources=Resources((volume(),)))
    found = VolumeStory().tell(events.LaunchStandalone(request_id=1, config=config))
    error = answer(found).error
    assert isinstance(error, InvalidRequest)
    assert error.field == "resources[0].volume"


def test_a_destroy_is_written_down_first_and_confirmed_when_it_is_carried_out_durably() -> None:
    story = VolumeStory()
    story.told(volume())
    story.tell(events.VolumesArranged(made=(V1,)))
    found = story.told(destroyed=(D1,))
    assert kinds(found) == ["Checkpoint", "ArrangeVolumes", "RemoveVolume"]
    assert found[1:] == (ArrangeVolumes(make=(), expect=(), leaving=(V1,)), RemoveVolume(removal=D1))
    assert not [each for each in story.told(destroyed=(D1,)) if isinstance(each, RemoveVolume)]  # it is under way
    found = story.tell(events.VolumeRemoved(destroy_id="1-1-1"))
    assert entries(found) == [VolumeGone(destroy_id="1-1-1")]
    assert found[-1] == effects.SendVolumesRemoved(destroy_ids=("1-1-1",))
    # The master did not hear of it: it is confirmed again, and nothing more is removed.
    again = story.restarted()
    assert kinds(again.told(destroyed=(D1,))) == ["SendVolumesRemoved", "ArrangeVolumes"]
    again.told()
    assert not again.state.volumes.removals
    assert not again.state.volumes.gone


def test_a_crash_in_the_middle_of_a_destroy_removes_it_when_the_agent_is_back_without_its_master() -> None:
    story = VolumeStory()
    story.told(volume())
    story.tell(events.VolumesArranged(made=(V1,)))
    story.told(destroyed=(D1,))
    assert [each for each in story.restarted().tell(events.RecoveryEnded()) if isinstance(each, RemoveVolume)] == [
        RemoveVolume(removal=D1)
    ]


def test_a_volume_that_is_not_told_any_more_is_not_destroyed() -> None:
    story = VolumeStory()
    story.told(volume())
    story.tell(events.VolumesArranged(made=(V1,)))
    assert not [each for each in story.told() if isinstance(each, RemoveVolume)]
    found = story.tell(events.VolumesArranged(made=(), unknown=(V1,)))
    assert found == (effects.SendVolumesFound(troubled=(), unknown=(V1,)),)
    # A master that knows it again has what was on it.
    assert story.told(volume())[-1] == ArrangeVolumes(make=(V1,), expect=(), leaving=())


def test_made_anew_under_the_same_name_it_is_not_the_old_one() -> None:
    story = VolumeStory()
    story.told(volume())
    story.tell(events.VolumesArranged(made=(V1,)))
    found = story.told(volume(), destroyed=(D1,))
    assert found[1:] == (ArrangeVolumes(make=(), expect=(), leaving=(V1,)), RemoveVolume(removal=D1))
    (refused,) = [each for each in story.use() if isinstance(each, effects.SendLaunchRefused)]
    assert "still being removed" in refused.message
    found = story.tell(events.VolumeRemoved(destroy_id="1-1-1"))
    assert kinds(found) == ["Checkpoint", "SendVolumesRemoved", "ArrangeVolumes"]
    assert found[-1] == ArrangeVolumes(make=(V1,), expect=(), leaving=())
    story.tell(events.VolumesArranged(made=(V1,)))
    # The same DESTROY, told again after a crash on either side, does not touch the new one; another does.
    again = story.restarted()
    assert not [each for each in again.told(volume(), destroyed=(D1,)) if isinstance(each, RemoveVolume)]
    assert again.told(destroyed=(D1, D2))[-1] == RemoveVolume(removal=D2)


def test_what_was_under_way_when_it_was_destroyed_is_not_taken_for_the_new_one() -> None:
    story = VolumeStory()
    story.told(volume())
    story.told(volume(), destroyed=(D1,))
    story.tell(events.VolumesArranged(made=(V1,)))  # the first making's answer comes late
    assert not story.state.volumes.made
    assert story.tell(events.VolumeRemoved(destroy_id="1-1-1"))[-1] == ArrangeVolumes(make=(V1,), expect=(), leaving=())


def test_nothing_is_removed_under_a_container_that_has_it() -> None:
    story = VolumeStory()
    story.told(volume())
    story.tell(events.VolumesArranged(made=(V1,)))
    story.use()
    story.tell(events.Prepared(container_id=C))
    story.start()
    assert not [each for each in story.told(destroyed=(D1,)) if isinstance(each, RemoveVolume)]
    assert [each for each in story.end() if isinstance(each, RemoveVolume)] == [RemoveVolume(removal=D1)]


def test_what_cannot_be_removed_is_tried_again() -> None:
    story = VolumeStory()
    story.told(destroyed=(D1,))
    found = story.tell(events.VolumeRemoved(destroy_id="1-1-1", problem="EBUSY"))
    assert found == (effects.WakeAt(at_ns=story.now_ns + REMOVE_AGAIN_NS),)
    assert kinds(story.tell(events.TimePassed())) == ["WakeAt"]
    story.now_ns += REMOVE_AGAIN_NS
    assert story.tell(events.TimePassed()) == (RemoveVolume(removal=D1),)
    assert not story.tell(events.VolumeRemoved(destroy_id="of nobody"))
