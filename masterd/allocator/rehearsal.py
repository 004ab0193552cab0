"""A run over one agent that changes nothing: what it would give to whom, as things are."""

from __future__ import annotations

from masterd.allocator.accounts import Account
from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.books import Books
from masterd.allocator.cycle import Portion, Run
from masterd.allocator.roles import Role


class Rehearsal(Run):
    """Charges copies of the accounts, and no shares: one agent's visit reads the order as it was before."""

    def account_of(self, role: Role) -> Account:
        """The copy of the role's."""
        return self.accounts.ensure(role.path)

    def _settle(self, begin: int) -> None:
        """Nothing was really given."""


def rehearse(books: Books, agent: AllocatorAgent, *, now_ns: int) -> list[Portion]:
    """In the order in which they would be given."""
    ledger = books.ledger
    run = Rehearsal(
        kinds=ledger.kinds,
        totals=ledger.totals,
        roles=ledger.roles,
        accounts=ledger.accounts.copy(),
        frameworks=ledger.frameworks,
        settings=books.settings,
        now_ns=now_ns,
        batch_count=books.agenda.batch_count,
        openings=ledger.openings,
        choosy=any(framework.traits.minimums for framework in ledger.frameworks.values()),
    )
    stand_in = agent.copy()
    if run.accounts.root.children_need:
        run.honour(stand_in)
    run.share(stand_in)
    return run.portions
