"""Ids: Mesos' rule for what comes from outside, ours for what becomes a file's name."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.model import ids
from paddock.model.errors import InvalidRequest

BAD_EVERYWHERE = ["", ".", "..", "a/b", "/", "a\\b", "a\0b", "a\nb", "\x7f", "\x85", "x" * 300, "\ud800"]


@pytest.mark.parametrize("value", BAD_EVERYWHERE)
@pytest.mark.parametrize(
    "check",
    [ids.task_id, ids.framework_id, ids.offer_id, ids.agent_id, ids.container_id],
    ids=lambda check: check.__name__,
)
def test_refused_everywhere(check: Callable[[str], str], value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(value)
    assert caught.value.field == check.__name__
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("value", ["a", "x" * 255, "é" * 127, "a b", "...", "task:1", "…"])
def test_mesos_takes_all_other_text(value: str) -> None:
    assert ids.task_id(value) == value


def test_the_limit_is_in_bytes() -> None:
    with pytest.raises(InvalidRequest):
        ids.task_id("é" * 128)


@pytest.mark.parametrize("value", ["a", "_x", "0", "A-b_c.d", "x" * 64])
def test_container_ids_are_file_names(value: str) -> None:
    assert ids.container_id(value) == value


@pytest.mark.parametrize("value", [".hidden", "-flag", "a b", "é", "a:b", "x" * 65, "²"])
def test_what_a_container_id_may_not_be(value: str) -> None:
    with pytest.raises(InvalidRequest):
        ids.container_id(value)


@given(value=st.text(max_size=80))
def test_whatever_is_taken_is_one_safe_file_name(value: str) -> None:
    try:
        taken = ids.container_id(value)
    except InvalidRequest:
        return
    assert taken == value
    assert taken.isascii()
    assert not set(taken) & set("/\0\n ")
    assert len(f"{taken}.sock".encode()) <= 255


@pytest.mark.parametrize("role", ["*", "prod", "a/b/c", "a.b", "é", "a*b", "a-b"])
def test_roles(role: str) -> None:
    assert ids.check_role(role) == role


@pytest.mark.parametrize(
    "role", ["", "/", "a/", "/a", "a//b", ".", "a/..", "a/*", "-a", "a/-b", "a b", "a\tb", "a\n", "\0", "\x7f"]
)
def test_what_is_no_role(role: str) -> None:
    with pytest.raises(InvalidRequest):
        ids.check_role(role)
