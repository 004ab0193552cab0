"""Patterns of offer constraints: they mean what Python's `re` means by them, and none costs more than its length."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from masterd.allocator.constraints import Place, check_groups, exclude
from masterd.allocator.patterns import SIZE_LIMIT_COUNT, Pattern, PatternError
from paddock.model.errors import InvalidRequest
from paddock.model.offer_terms import Constraint, Predicate
from paddock.model.resource_text import Attribute

_ATOMS = st.sampled_from(
    ["a", "b", "c", ".", "[ab]", "[^a]", "[a-c-]", "[]a]", r"\d", r"\w", r"\.", r"[\d_]", "-", "1"]
)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    suffixes = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}"])
    return (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})")
        | st.tuples(inner, suffixes).map(lambda pair: f"({pair[0]}){pair[1]}")
    )


@settings(max_examples=400, deadline=None)
@given(
    pattern=st.recursive(_ATOMS, _larger, max_leaves=8), texts=st.lists(st.text("abc.-1_\n", max_size=8), max_size=6)
)
def test_it_matches_what_pythons_own_matches(pattern: str, texts: list[str]) -> None:
    try:
        mine = Pattern(pattern)
    except PatternError as error:
        assert "states" in str(error) or "repeats" in str(error), "only for its size"  # noqa: PT017
        return
    for text in texts:
        assert mine.matches(text) == (re.fullmatch(pattern, text, re.ASCII) is not None), (pattern, text)


@pytest.mark.filterwarnings(
    "ignore:Possible :FutureWarning"
)  # Python's own, of sets that may mean something else one day
@settings(max_examples=300, deadline=None)
@example(pattern="[[]")
@given(pattern=st.text(r"ab()[]{}|*+?.\^$,-12d:", max_size=30))
def test_whatever_comes_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        Pattern(pattern).matches("abab")
    except PatternError:
        return
    re.compile(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+", "a" * 5_000 + "b"),
        ("(a|a)*", "a" * 5_000 + "b"),
        ("(.*)*x", "a" * 5_000),
        ("a?" * 60 + "a" * 60, "a" * 59),
        ("(a*)*(a*)*(a*)*b", "a" * 5_000),
        ("([a-z]+[0-9]?)*!", "abc1" * 1_000),
    ],
)
def test_a_hostile_pattern_costs_no_time(pattern: str, text: str) -> None:
    begin_s = time.process_time()
    assert not Pattern(pattern).matches(text)
    # With backtracking these take from minutes to longer than the universe is old.
    assert time.process_time() - begin_s < 20


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "ends too early"),
        ("a)", "closing parenthesis too many"),
        ("*a", "nothing before"),
        ("a**", "repetition of a repetition"),
        ("a*?", "repetition of a repetition"),
        ("(?i)a", "no flags"),
        ("(?=a)", "no flags"),
        (r"(a)\1", "known escapes"),
        ("a{2", "begins a count"),
        ("a{3,2}", "smaller to the larger"),
        ("a{9999}", "up to"),
        ("a{1000}", f"more than {SIZE_LIMIT_COUNT} states"),
        ("((((){1000}){1000}){1000}){1000}", "repeats too much"),
        ("(" * 30 + ")" * 30, "nested"),
        ("[b-a]", "range in brackets"),
        ("[a", "ends too early"),
        ("a^b", "at the ends only"),
        ("a" * 1_001, "at most 1000 characters"),
    ],
)
def test_what_is_refused_says_why(pattern: str, words: str) -> None:
    with pytest.raises(PatternError, match=words):
        Pattern(pattern)
    groups = ((Constraint(select="rack", predicate=Predicate.TEXT_MATCHES, value=pattern),),)
    with pytest.raises(InvalidRequest, match=r"constraints\[0\]"):
        check_groups(groups, "constraints[0]")


def test_the_ends_may_be_marked() -> None:
    assert Pattern("^rack-[0-9]+$").matches("rack-12")
    assert not Pattern("^rack-[0-9]+$").matches("rack-12\n")
    assert Pattern(r"a\$").matches("a$")


def test_ten_thousand_agents_are_told_apart_in_no_time() -> None:
    groups = ((Constraint(select="rack", predicate=Predicate.TEXT_MATCHES, value="(r|s)+[0-9]{1,4}|(x+x+)+y"),),)
    places = [Place(attributes=(Attribute(name="rack", value=f"r{number}"),)) for number in range(10_000)]
    begin_s = time.process_time()
    assert not any(exclude(groups, place) for place in places)
    assert time.process_time() - begin_s < 20
