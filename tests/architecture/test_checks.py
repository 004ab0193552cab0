"""`make check` inside `make test`: ruff, its format, the import contracts and the types are clean."""

import pytest

from setup import check


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command", check.CHECKS, ids=lambda command: f"{command[0].name} {' '.join(command[1:])}".strip()
)
def test_clean(command: check.Command) -> None:
    words = check.failure(command)
    if words is not None:
        pytest.fail(words, pytrace=False)
