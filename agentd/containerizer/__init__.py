"""How containers come to life and go: the contract, and what fulfils it."""
