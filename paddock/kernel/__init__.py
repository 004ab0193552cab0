"""The kernel's verbs: each module wraps one thing that Linux offers, with errors that name what was tried.

The launcher imports these modules and forks for every launch, so each megabyte costs: no dataclasses, typing, pathlib,
asyncio or contextlib here.
"""
