"""Patterns of offer constraints, matched in time that is linear in the text, whatever the pattern.

Python's `re` backtracks: one framework's `(a+)+$` could stall the master for everybody. Here a pattern becomes a small machine
whose possible states are followed all at once (Thompson); a pattern that would need too many of them is refused, as Mesos
bounds the program size of RE2. The language is RE2's without captures, flags, assertions and lazy repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

SIZE_LIMIT_COUNT = 200
"""States of one pattern. Mesos' default for RE2 is a program size of 100."""

NESTING_LIMIT_COUNT = 20
PATTERN_LIMIT_CHARACTERS = 1_000
_MEMO_LIMIT_COUNT = 4_000
_REPEAT_LIMIT_COUNT = 1_000

_DIGITS = tuple((ord(c), ord(c)) for c in "0123456789")
_WORD = ((ord("0"), ord("9")), (ord("A"), ord("Z")), (ord("_"), ord("_")), (ord("a"), ord("z")))
_SPACE = tuple((ord(c), ord(c)) for c in "\t\n\f\r ")
_ANY = ((0, 0x10FFFF),)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

Spans = tuple[tuple[int, int], ...]
"""Characters by their numbers, from and to."""


def _without(spans: Spans) -> Spans:
    found, begin = [], 0
    for low, high in sorted(spans):
        if begin < low:
            found.append((begin, low - 1))
        begin = max(begin, high + 1)
    if begin <= _ANY[0][1]:
        found.append((begin, _ANY[0][1]))
    return tuple(found)


_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE, "D": _without(_DIGITS), "W": _without(_WORD), "S": _without(_SPACE)}


class PatternError(ValueError):
    """What is wrong with a pattern, for whoever wrote it."""


Node = Callable[["Pattern", int], int]
"""Adds the states that match something and go on to a given one; the first of them."""


class Pattern:
    """A compiled pattern. Raises PatternError for what is none, or needs too much."""

    def __init__(self, text: str) -> None:
        if len(text) > PATTERN_LIMIT_CHARACTERS:
            raise PatternError(f"a pattern has at most {PATTERN_LIMIT_CHARACTERS} characters")
        self._spans: list[Spans] = [()]
        self._next: list[tuple[int, ...]] = [()]
        self._work = 0
        self._begin = self._closed([_Parser(text).whole()(self, 0)])
        self._remembered_count = 0
        self._memo: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def add(self, spans: Spans, following: tuple[int, ...] = ()) -> int:
        """One more state: it takes a character of the spans, or none when there are no spans."""
        if len(self._next) >= SIZE_LIMIT_COUNT:
            raise PatternError(
                f"it needs more than {SIZE_LIMIT_COUNT} states; write it simpler, with fewer repetitions"
            )
        self._spans.append(spans)
        self._next.append(following)
        return len(self._next) - 1

    def redirect(self, state: int, following: tuple[int, ...]) -> None:
        """A loop's state is there before its body is."""
        self._next[state] = following

    def count_work(self) -> None:
        """Repetitions of nothing add no states, and are bounded all the same."""
        self._work += 1
        if self._work > 10 * SIZE_LIMIT_COUNT:
            raise PatternError("it repeats too much")

    def matches(self, text: str) -> bool:
        """Whether the whole text is as the pattern says."""
        states, memo = self._begin, self._memo
        for character in text:
            following = memo.get((states, character))
            if following is None:
                following = self._remembered(states, character)
            states = following
            if not states:
                return False
        return 0 in states

    def _remembered(self, states: frozenset[int], character: str) -> frozenset[int]:
        """The step, kept for the next text; what is kept is bounded by how many states it names."""
        following = self._step(states, ord(character))
        self._remembered_count += len(states) + len(following) + 1
        if self._remembered_count > _MEMO_LIMIT_COUNT:
            self._memo.clear()
            self._remembered_count = 0
        self._memo[states, character] = following
        return following

    def _step(self, states: frozenset[int], number: int) -> frozenset[int]:
        return self._closed(
            each
            for state in states
            if any(low <= number <= high for low, high in self._spans[state])
            for each in self._next[state]
        )

    def _closed(self, states: Iterable[int]) -> frozenset[int]:
        """With all that can be reached without a character; of those, the ones that take one, and the end (0)."""
        pending, seen = list(states), set[int]()
        while pending:
            state = pending.pop()
            if state not in seen:
                seen.add(state)
                if not self._spans[state]:
                    pending.extend(self._next[state])
        return frozenset(state for state in seen if self._spans[state] or not state)


def _character(spans: Spans) -> Node:
    return lambda pattern, following: pattern.add(spans, (following,))


def _sequence(nodes: list[Node]) -> Node:
    def build(pattern: Pattern, following: int) -> int:
        for node in reversed(nodes):
            pattern.count_work()
            following = node(pattern, following)
        return following

    return build


def _either(nodes: list[Node]) -> Node:
    if len(nodes) == 1:
        return nodes[0]
    return lambda pattern, following: pattern.add((), tuple([node(pattern, following) for node in nodes]))


def _repeated(node: Node, least: int, most: int | None) -> Node:
    def build(pattern: Pattern, following: int) -> int:
        if most is None:
            loop = pattern.add(())
            pattern.redirect(loop, (node(pattern, loop), following))
            following = loop
        for _ in range((most or least) - least):
            pattern.count_work()
            following = pattern.add((), (node(pattern, following), following))
        for _ in range(least):
            pattern.count_work()
            following = node(pattern, following)
        return following

    return build


class _Parser:
    """Recursive descent, as deep as groups are nested."""

    def __init__(self, text: str) -> None:
        # The whole text has to match anyway.
        begin, end = int(text.startswith("^")), len(text) - (text.endswith("$") and not text.endswith("\\$"))
        self._text = text[begin:end]
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._alternatives()
        if self._at < len(self._text):
            raise PatternError("a closing parenthesis too many")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise PatternError("it ends too early")
        self._at += 1
        return character

    def _alternatives(self) -> Node:
        found = [self._concatenation()]
        while self._peek() == "|":
            self._at += 1
            found.append(self._concatenation())
        return _either(found)

    def _concatenation(self) -> Node:
        found: list[Node] = []
        while self._peek() not in {"", "|", ")"}:
            found.append(self._repetition())
        return _sequence(found)

    def _repetition(self) -> Node:
        node = self._atom()
        bounds = self._bounds()
        if bounds is None:
            return node
        if self._peek() in {"?", "*", "+"} or self._counted() is not None:
            raise PatternError("a repetition of a repetition; use a group, and no lazy or possessive forms")
        return _repeated(node, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        found = simple.get(self._peek())
        if found is not None:
            self._at += 1
            return found
        return self._counted()

    def _counted(self) -> tuple[int, int | None] | None:
        """`{2}`, `{2,}`, `{2,5}`."""
        if self._peek() != "{":
            return None
        inside, brace, _ = self._text[self._at + 1 :].partition("}")
        low, comma, high = inside.partition(",")
        if not brace or not _is_number(low) or not (_is_number(high) or not high):
            raise PatternError("a { begins a count as {2}, {2,} or {2,5}; the character itself is \\{")
        self._at += len(inside) + 2
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if max(least, most or 0) > _REPEAT_LIMIT_COUNT or (most is not None and most < least):
            raise PatternError(f"a count goes from the smaller to the larger, up to {_REPEAT_LIMIT_COUNT}")
        return least, most

    def _atom(self) -> Node:
        character = self._take()
        match character:
            case "(":
                return self._group()
            case "[":
                return _character(self._set())
            case ".":
                return _character(_without(((10, 10),)))
            case "\\":
                return _character(self._escaped())
            case "*" | "+" | "?" | "{":
                raise PatternError(f"nothing before {character!r} that could be repeated")
            case "^" | "$":
                raise PatternError("^ and $ stand at the ends only; the whole text has to match anyway")
            case _:
                return _character(((ord(character), ord(character)),))

    def _group(self) -> Node:
        self._depth += 1
        if self._depth > NESTING_LIMIT_COUNT:
            raise PatternError(f"groups are nested more than {NESTING_LIMIT_COUNT} deep")
        if self._peek() == "?":
            if self._text[self._at : self._at + 2] != "?:":
                raise PatternError("groups are plain, ( ) or (?: ): no flags, names, or looking ahead and back")
            self._at += 2
        node = self._alternatives()
        if self._take() != ")":
            raise PatternError("a parenthesis is not closed")
        self._depth -= 1
        return node

    def _escaped(self) -> Spans:
        character = self._take()
        if character in _CLASSES:
            return _CLASSES[character]
        character = _CONTROLS.get(character, character if not character.isalnum() else "")
        if not character:
            raise PatternError("known escapes are \\d \\w \\s \\D \\W \\S \\t \\n \\r \\f, and \\ before a sign")
        return ((ord(character), ord(character)),)

    def _set(self) -> Spans:
        """After the opening bracket."""
        negated = self._peek() == "^"
        self._at += negated
        spans: list[tuple[int, int]] = []
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            low = self._member()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                high = self._member()
                if len(low) != 1 or len(high) != 1 or low[0][0] > high[0][0]:
                    raise PatternError("a range in brackets goes from one character to a later one")
                spans.append((low[0][0], high[0][0]))
            else:
                spans.extend(low)
        self._at += 1
        return _without(tuple(spans)) if negated else tuple(spans)

    def _member(self) -> Spans:
        character = self._take()
        if character == "\\":
            return self._escaped()
        return ((ord(character), ord(character)),)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
