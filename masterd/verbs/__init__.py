"""What masterd brings to the `paddock` command: entry points of the group `paddock.verbs`. Each module loads next to nothing
until it runs, because `paddock --help` loads it for its summary.
"""
