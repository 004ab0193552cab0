"""The wait before the next attempt."""

from random import Random

from paddock.rpc.backoff import Backoff


def test_the_wait_grows_is_jittered_and_bounded() -> None:
    backoff = Backoff(Random(1), first_s=0.1, longest_s=1.0)
    waits = [backoff.next_s() for _ in range(20)]
    for wait, most in zip(waits, [0.1, 0.2, 0.4, 0.8] + [1.0] * 16, strict=True):
        assert most / 2 <= wait <= most
    assert len(set(waits)) == 20
    backoff.reset()
    assert backoff.next_s() <= 0.1


def test_a_master_may_be_away_for_months() -> None:
    backoff = Backoff(Random(1), longest_s=60.0)
    assert all(backoff.next_s() <= 60.0 for _ in range(100_000))
