"""Short-lived tokens that say which uid calls: made from SO_PEERCRED, carried as metadata, checked by HMAC."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable

from paddock.model.errors import Unauthenticated
from paddock.rpc.principal import Principal

TOKEN_KEY = "paddock-token"  # noqa: S105 - the metadata's name, not a secret
LIFETIME_S = 300
_KEPT_COUNT = 256
_VERSION = "1"
_LIMIT_CHARACTERS = 200
_REMEDY = (
    "use the paddock command or paddock.rpc.channel: they fetch one from the identity socket, "
    "the daemon's path with .id behind it"
)


class TokenIssuer:
    """Makes and checks tokens. The key is random and dies with the process: a token of an earlier one is refused."""

    def __init__(self, *, lifetime_s: int = LIFETIME_S, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """`monotonic_s`: the clock of expiry; both sides of it are in this process, so it needs no wall clock."""
        self.lifetime_s = lifetime_s
        self._monotonic_s = monotonic_s
        self._key = secrets.token_bytes(32)
        self._verified: dict[str, tuple[int, Principal]] = {}
        """By token: until when, and who. Of the last ones: a caller shows its one with each call."""

    def issue(self, uid: int) -> str:
        """`1.<uid>.<expiry>.<hmac>`."""
        claim = f"{_VERSION}.{uid}.{int(self._monotonic_s()) + self.lifetime_s}"
        return f"{claim}.{self._signature(claim)}"

    def verify(self, token: str) -> Principal:
        """Raises Unauthenticated; never says by which part a forged token was recognised."""
        known = self._verified.get(token)
        if known is not None and self._monotonic_s() < known[0]:
            return known[1]
        claim, _, signature = token.rpartition(".")
        well_formed = len(token) <= _LIMIT_CHARACTERS and token.isascii()
        if not well_formed or not hmac.compare_digest(self._signature(claim), signature):
            raise Unauthenticated(f"the {TOKEN_KEY} is not one of this process, which may have restarted: {_REMEDY}")
        _, uid, expiry_s = claim.split(".")
        if self._monotonic_s() >= int(expiry_s):
            raise Unauthenticated(f"the {TOKEN_KEY} has expired after {self.lifetime_s} s: {_REMEDY}")
        principal = Principal(uid=int(uid))
        if len(self._verified) >= _KEPT_COUNT:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = (int(expiry_s), principal)
        return principal

    def _signature(self, claim: str) -> str:
        return hmac.digest(self._key, claim.encode(), "sha256").hex()


class TokenAuthenticator:
    """The built-in Authenticator. Over TCP nobody vouches for a uid, so a caller without a token is refused there,
    unless the operator trusts the network and says as which uid its callers count.
    """

    def __init__(self, issuer: TokenIssuer, *, tcp_uid: int | None = None) -> None:
        """`tcp_uid` None: callers over TCP need a token too."""
        self._issuer = issuer
        self._tcp_uid = tcp_uid

    def authenticate(self, token: str | None, peer: str) -> Principal:
        """Raises Unauthenticated with the remedy."""
        if token is not None:
            return self._issuer.verify(token)
        if not peer.startswith("unix") and self._tcp_uid is not None:
            return Principal(uid=self._tcp_uid)
        raise Unauthenticated(f"the call carries no {TOKEN_KEY}: {_REMEDY}")
