"""The mailbox: what threads put in is called on the loop, in order, and one that fails keeps no other from its turn."""

from __future__ import annotations

import asyncio
import threading

from agentd.mailbox import Mailbox


async def test_everything_that_threads_put_in_is_called_on_the_loop_in_each_ones_order() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    here = threading.get_ident()
    heard: list[tuple[int, int]] = []
    everything = asyncio.Event()

    def hear(word: tuple[int, int]) -> None:
        assert threading.get_ident() == here
        heard.append(word)
        if len(heard) == 4 * 500:
            everything.set()

    def speak(speaker: int) -> None:
        for number in range(500):
            mailbox.put(hear, (speaker, number))

    threads = [threading.Thread(target=speak, args=(speaker,)) for speaker in range(4)]
    for thread in threads:
        thread.start()
    async with asyncio.timeout(60):
        await everything.wait()
    for thread in threads:
        thread.join()
    mailbox.close()
    for speaker in range(4):
        assert [number for who, number in heard if who == speaker] == list(range(500))


async def test_an_answer_that_fails_is_told_and_the_next_one_is_called() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    told: list[object] = []
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    answered = loop.create_future()
    wrong = ValueError("wrong")

    def fail(error: Exception) -> None:
        raise error

    def speak() -> None:
        mailbox.put(fail, wrong)
        mailbox.put(answered.set_result, 7)

    await asyncio.to_thread(speak)
    async with asyncio.timeout(60):
        assert await answered == 7
    mailbox.close()
    assert told == [wrong]


async def test_what_is_put_in_while_it_is_emptied_comes_in_the_loops_next_turn() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    turns: list[int] = []
    done = asyncio.Event()

    def again(number: int) -> None:
        turns.append(number)
        if number == 3:
            done.set()
        else:
            mailbox.put(again, number + 1)

    mailbox.put(again, 0)
    async with asyncio.timeout(60):
        await done.wait()
    mailbox.close()
    assert turns == [0, 1, 2, 3]


async def test_after_its_end_nothing_is_called() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    heard: list[int] = []
    mailbox.put(heard.append, 1)
    mailbox.close()
    mailbox.put(heard.append, 2)
    await asyncio.sleep(0)
    assert heard == []
