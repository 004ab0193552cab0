"""A page ends by count, or by the size of the answer; together the pages are everything, once."""

from google.protobuf.wrappers_pb2 import StringValue

from paddock.rpc.pages import PAGE_LIMIT_BYTES, page_on_wire


def pages(words: list[str], *, size: int = 0) -> list[list[str]]:
    found: list[list[str]] = []
    token = ""
    while True:
        page, token = page_on_wire(
            words,
            key=lambda word: word[:4],
            to_wire=lambda word: StringValue(value=word),
            size=size,
            token=token,
            limit_count=100,
        )
        found.append([message.value[:4] for message in page])
        if not token:
            return found


def test_a_page_ends_by_count() -> None:
    assert pages([f"{number:04d}" for number in range(5)], size=2) == [["0000", "0001"], ["0002", "0003"], ["0004"]]


def test_a_page_ends_before_it_is_too_long_for_one_answer() -> None:
    third = "x" * (PAGE_LIMIT_BYTES // 3)
    assert pages([f"{number:04d}{third}" for number in range(5)]) == [["0000", "0001"], ["0002", "0003"], ["0004"]]


def test_what_is_too_long_by_itself_is_sent_alone() -> None:
    assert pages([f"{number:04d}{'x' * PAGE_LIMIT_BYTES}" for number in range(2)]) == [["0000"], ["0001"]]
