"""A launch's list: which step failed is read from its results, and results that were cut are no crash."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel.call_list import INSTRUCTION_BYTES, RESULT_OFFSET
from paddock.launch.launch_list import LaunchList, may_share_memory
from paddock.launch.plan import decode_plan

GOLDEN = Path(__file__).parent / "golden" / "plan-1.json"


def made(**changes: Any) -> LaunchList:
    return LaunchList(decode_plan({**json.loads(GOLDEN.read_text()), **changes}))


def test_every_step_of_the_childs_can_be_named() -> None:
    wanted = made()
    content = wanted.to_bytes()
    landing = 2
    for index, (stage, operation, path, _value) in wanted.named.names.items():
        results = bytearray(content)
        for at, value in ((landing, index * INSTRUCTION_BYTES), (index, -errno.EPERM)):
            end = (at + 1) * INSTRUCTION_BYTES
            results[at * INSTRUCTION_BYTES + RESULT_OFFSET : end] = value.to_bytes(8, "little", signed=True)
        report = wanted.explain(results)
        assert (report["stage"], report["operation"], report["path"]) == (stage, operation, path)
        assert report["errno"] == errno.EPERM


@given(st.binary(max_size=400))
def test_results_that_were_cut(results: bytes) -> None:
    assert made().explain(results)["errno"] == errno.ECHILD


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({}, True),
        ({"barrier": True}, False),
        ({"oom_score_adj": 100}, False),
        ({"writes": [{"controller": "memory", "file": "memory.limit_in_bytes", "value": "1048576"}]}, False),
        ({"writes": [{"controller": "memory", "file": "memory.limit_in_bytes", "value": "-1"}]}, True),
    ],
)
def test_whose_child_may_share_memory(changes: dict[str, Any], shared: bool) -> None:
    assert may_share_memory(decode_plan({**json.loads(GOLDEN.read_text()), **changes})) == shared
