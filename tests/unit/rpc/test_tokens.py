"""A token is worth something only unchanged, at the process that made it, and for a while."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.model.errors import Unauthenticated
from paddock.rpc.tokens import TokenIssuer

ISSUER = TokenIssuer(monotonic_s=lambda: 1000.0)
TOKEN = ISSUER.issue(1234)


@given(st.text(max_size=250))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        ISSUER.verify(text)


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_one_changed_character_is_refused(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed == TOKEN:
        assert ISSUER.verify(changed).uid == 1234
    else:
        with pytest.raises(Unauthenticated):
            ISSUER.verify(changed)


def test_a_token_with_another_uid_or_a_later_expiry_is_refused() -> None:
    version, _, expiry, signature = TOKEN.split(".")
    for forged in (f"{version}.0.{expiry}.{signature}", f"{version}.1234.9{expiry}.{signature}"):
        with pytest.raises(Unauthenticated):
            ISSUER.verify(forged)


def test_another_process_refuses_it() -> None:
    with pytest.raises(Unauthenticated, match="may have restarted"):
        TokenIssuer(monotonic_s=lambda: 1000.0).verify(TOKEN)


def test_one_that_was_shown_before_is_refused_from_its_expiry_on_as_any_other() -> None:
    now_s = [1000.0]
    issuer = TokenIssuer(monotonic_s=lambda: now_s[0], lifetime_s=10)
    token = issuer.issue(7)
    for second in (1000.0, 1005.0, 1009.9):
        now_s[0] = second
        assert issuer.verify(token).uid == 7
    now_s[0] = 1010.0
    with pytest.raises(Unauthenticated, match="has expired after 10 s"):
        issuer.verify(token)


def test_however_many_are_shown_each_is_its_callers() -> None:
    issuer = TokenIssuer(monotonic_s=lambda: 1000.0)
    tokens = {uid: issuer.issue(uid) for uid in range(600)}
    for _ in range(2):
        assert all(issuer.verify(token).uid == uid for uid, token in tokens.items())
