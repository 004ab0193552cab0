"""cgroups/cpu: the formulas and what is written when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolators.cgroups.cpu import CpuIsolator, quota_us, shares, weight, writes
from isolators.counters import recorded
from paddock.model.errors import InvalidRequest
from paddock.model.launch_plan import CgroupWrite
from paddock.model.resources import MILLI_LIMIT, Resources
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import ResourceLimits


@pytest.mark.parametrize(
    ("cpus_milli", "expected_shares", "expected_weight", "expected_quota_us"),
    [
        (0, 2, 1, 1_000),
        (1, 2, 1, 1_000),
        (9, 9, 1, 1_000),
        (10, 10, 1, 1_000),
        (11, 11, 1, 1_100),
        (100, 102, 10, 10_000),
        (250, 256, 25, 25_000),
        (500, 512, 50, 50_000),
        (999, 1022, 99, 99_900),
        (1_000, 1_024, 100, 100_000),
        (100_000, 102_400, 10_000, 10_000_000),
        (128_000, 131_072, 10_000, 12_800_000),
        (256_000, 262_144, 10_000, 25_600_000),
        (300_000, 262_144, 10_000, 30_000_000),
        (MILLI_LIMIT, 262_144, 10_000, 2**44 - 1),
    ],
)
def test_formulas(cpus_milli: int, expected_shares: int, expected_weight: int, expected_quota_us: int) -> None:
    assert shares(cpus_milli) == expected_shares
    assert weight(cpus_milli) == expected_weight
    assert quota_us(cpus_milli) == expected_quota_us


@given(one=st.integers(0, MILLI_LIMIT), two=st.integers(0, MILLI_LIMIT))
def test_more_cpus_never_give_less(one: int, two: int) -> None:
    less, more = sorted((one, two))
    for formula in (shares, weight, quota_us):
        assert formula(less) <= formula(more)


def files(found: tuple[CgroupWrite, ...]) -> list[tuple[str, str]]:
    return [(write.file, write.value) for write in found]


QUARTER = Resources.scalars({"cpus": 250})


@pytest.mark.parametrize(
    ("limit_milli", "enable_cfs", "resize", "v1", "v2"),
    [
        (None, False, False, [("cpu.shares", "256")], [("cpu.weight", "25")]),
        (
            None,
            True,
            False,
            [("cpu.shares", "256"), ("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "25000")],
            [("cpu.weight", "25"), ("cpu.max", "25000 100000")],
        ),
        (
            500,
            False,
            False,
            [("cpu.shares", "256"), ("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000")],
            [("cpu.weight", "25"), ("cpu.max", "50000 100000")],
        ),
        (-1, True, False, [("cpu.shares", "256")], [("cpu.weight", "25")]),
        # A limit that goes away must not stay in force.
        (
            None,
            False,
            True,
            [("cpu.shares", "256"), ("cpu.cfs_quota_us", "-1")],
            [("cpu.weight", "25"), ("cpu.max", "max 100000")],
        ),
        (
            -1,
            True,
            True,
            [("cpu.shares", "256"), ("cpu.cfs_quota_us", "-1")],
            [("cpu.weight", "25"), ("cpu.max", "max 100000")],
        ),
    ],
)
def test_what_is_written(
    limit_milli: int | None, enable_cfs: bool, resize: bool, v1: list[tuple[str, str]], v2: list[tuple[str, str]]
) -> None:
    limits = ResourceLimits(cpus_milli=limit_milli)
    assert files(writes(QUARTER, limits, v2=False, enable_cfs=enable_cfs, resize=resize)) == v1
    assert files(writes(QUARTER, limits, v2=True, enable_cfs=enable_cfs, resize=resize)) == v2


@pytest.mark.parametrize("limit_milli", [-2, 0, 249])
def test_a_limit_below_the_request_is_refused(limit_milli: int) -> None:
    with pytest.raises(InvalidRequest, match=r"limits\.cpus"):
        writes(QUARTER, ResourceLimits(cpus_milli=limit_milli), v2=False, enable_cfs=False)


def test_a_quota_that_was_asked_for_is_never_optional() -> None:
    for v2 in (False, True):
        found = writes(QUARTER, ResourceLimits(cpus_milli=250), v2=v2, enable_cfs=False, resize=True)
        assert not any(write.optional for write in found)


def parsed(counters: dict[str, str]) -> ResourceStatistics:
    found = ResourceStatistics()
    CpuIsolator.fill(found, recorded(counters))
    return found


def test_counters_of_v1() -> None:
    found = parsed(
        {
            "cpuacct/cpuacct.usage": "1234567890\n",
            "cpuacct/cpuacct.stat": "user 100\nsystem 23\n",
            "cpu/cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 5000999\n",
        }
    )
    assert (found.cpu_usage_us, found.cpu_user_us, found.cpu_system_us) == (1_234_567, 1_000_000, 230_000)
    assert (found.cpu_period_count, found.cpu_throttled_count, found.cpu_throttled_us) == (10, 4, 5_000)


def test_counters_of_v2() -> None:
    text = "usage_usec 77\nuser_usec 50\nsystem_usec 27\nnr_periods 3\nnr_throttled 2\nthrottled_usec 9\n"
    found = parsed({"cpu/cpu.stat": text})
    assert (found.cpu_usage_us, found.cpu_user_us, found.cpu_system_us) == (77, 50, 27)
    assert (found.cpu_period_count, found.cpu_throttled_count, found.cpu_throttled_us) == (3, 2, 9)


def test_what_is_not_there_is_not_guessed() -> None:
    found = parsed({"cpu/cpu.stat": "usage_usec many\n"})
    assert (found.cpu_usage_us, found.cpu_throttled_us) == (None, None)
