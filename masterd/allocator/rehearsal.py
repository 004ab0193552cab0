"""A run over one agent that changes nothing: what it would give to whom, as things are."""

from __future__ import annotations

from contextlib import ExitStack

from masterd.allocator.accounts import Account
from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.books import Books
from masterd.allocator.cycle import Portion, Run
from masterd.allocator.roles import Role


class Rehearsal(Run):
    """Charges copies of the accounts, and no shares: a visit reads the order as it was before."""

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
    with ExitStack() as trials:
        if run.accounts.root.children_need:
            run.honour(stand_in)
            # What is given in the first stage counts in the order of the second.
            for role, framework, _, bundle in run.portions:
                trials.enter_context(ledger.roles.trial(role, framework.framework_id, agent.agent_id, bundle))
        run.share(stand_in)
    return run.portions
