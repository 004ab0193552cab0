"""Call lists: the machine code is what its source builds, and does what Python does with the same list."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel import call_list, call_runner
from paddock.kernel.call_list import BEGINNING, CallList, result_in, result_of, value_at, within
from paddock.kernel.call_numbers import numbers_of
from paddock.kernel.call_runner import CallRunner
from paddock.kernel.descriptors import make_sealed_memfd
from paddock.kernel.errors import KernelError
from paddock.kernel.mapping import ADDRESS, FLAGS, PROTECTION, Mapping

SOURCES = Path(call_list.__file__).parent
PREFIXES = {"x86_64": "x86_64-linux-gnu-", "aarch64": "aarch64-linux-gnu-"}
RUNNERS = {name: CallRunner(name) for name in (os.uname().machine, "python")}


def tool(machine: str, name: str) -> str:
    found = shutil.which(PREFIXES[machine] + name) or (shutil.which(name) if os.uname().machine == machine else None)
    assert found, f"no {name} for {machine}: install binutils-{machine.replace('_', '-')}-linux-gnu"
    return found


@pytest.fixture(params=sorted(RUNNERS))
def runner(request: pytest.FixtureRequest) -> CallRunner:
    return RUNNERS[request.param]


def test_this_machine_has_machine_code() -> None:
    assert RUNNERS[os.uname().machine].shares_memory
    assert not RUNNERS["python"].shares_memory


@pytest.mark.parametrize("machine", sorted(call_runner.BYTES))
def test_the_bytes_are_built_from_the_source(machine: str, tmp_path: Path) -> None:
    made, binary = tmp_path / "list.o", tmp_path / "list.bin"
    subprocess.run([tool(machine, "as"), SOURCES / f"call_list_{machine}.S", "-o", made], check=True)
    subprocess.run([tool(machine, "objcopy"), "-O", "binary", "-j", ".text", made, binary], check=True)
    assert binary.read_bytes() == call_runner.BYTES[machine]


def test_numbers_are_those_of_the_headers(tmp_path: Path) -> None:
    numbers = numbers_of(os.uname().machine)
    source = "#include <sys/syscall.h>\n" + "\n".join(f"{name} = SYS_{name}" for name in numbers)
    expanded = subprocess.run(["cc", "-E", "-P", "-"], input=source, capture_output=True, text=True, check=True).stdout
    found = dict(line.split(" = ") for line in expanded.splitlines() if " = " in line)
    assert {name: str(number) for name, number in numbers.items()} == found
    assert set(numbers_of("aarch64")) == set(numbers)
    assert numbers_of("s390x") == {}


def test_results_errors_and_places(runner: CallRunner) -> None:
    calls = CallList()
    absent = calls.errors(errno.ENOENT, errno.ENOTDIR)
    failure = calls.land()
    calls.end(-7)
    first = calls.here
    pid = calls.call("getpid")
    missing = calls.call("openat", -100, calls.text("/no/such/file"), 0, 0, fail=failure, ignored=absent)
    unimportant = calls.call("close", -1)
    kept = calls.put(bytes(8))
    calls.store(result_of(pid), within(kept, 4))
    copied = calls.put(bytes(8))
    calls.store(value_at(kept, 4), copied)
    failing = calls.call("close", -2, fail=failure)
    calls.call("close", 0)
    memory = calls.to_bytes()
    assert runner.run(memory, first) == -7
    assert result_in(memory, pid) == os.getpid()
    assert result_in(memory, missing) == -errno.ENOENT
    assert result_in(memory, unimportant) == result_in(memory, failing) == -errno.EBADF
    assert result_in(memory, failure) == failing * call_list.INSTRUCTION_BYTES
    at = calls.size + copied[2]
    assert int.from_bytes(memory[at : at + 4], "little") == os.getpid()
    os.fstat(0)


def test_zero_leads_elsewhere_and_so_does_a_landing(runner: CallRunner) -> None:
    calls = CallList()
    onward = calls.here
    calls.end(5)
    zero = calls.land(onward)
    first = calls.here
    calls.call("getpid", zero=onward)
    calls.call("umask", 0o022)
    calls.call("rt_sigaction", 10, 0, calls.put(bytes(32)), 8, zero=zero)
    calls.end(6)
    assert runner.run(calls.to_bytes(), first) == 5


def slot_of(index: int) -> tuple[int, int, int]:
    """Where that instruction's result stands."""
    return within(BEGINNING, index * call_list.INSTRUCTION_BYTES + call_list.RESULT_OFFSET)


def test_a_zero_that_leads_elsewhere_leaves_no_result(runner: CallRunner) -> None:
    """Both return from clone3 on the same memory: the child's zero must not cover the pid that its parent is about to read."""
    calls = CallList()
    onward = calls.here
    calls.end(5)
    first = calls.here
    ends = calls.put(bytes(8))
    calls.store(7, slot_of(calls.here + 1))
    stays = calls.call("pipe2", ends, os.O_CLOEXEC)
    calls.store(7, slot_of(calls.here + 1))
    leads = calls.call("ppoll", 0, 0, calls.put(bytes(16)), 0, 8, zero=onward)
    calls.end(6)
    memory = calls.to_bytes()
    assert runner.run(memory, first) == 5
    assert (result_in(memory, stays), result_in(memory, leads)) == (0, 7)
    for at in (0, 4):
        os.close(int.from_bytes(memory[calls.size + ends[2] + at :][:4], "little"))


@pytest.mark.parametrize(
    ("one", "other", "size", "end"),
    [
        (b"abc", b"abd", 2, 5),
        (b"abc", b"abd", 3, 6),
        (b"", b"x", 0, 5),
        (b"xbc", b"abc", 3, 6),
        (b"q" * 99, b"q" * 99, 99, 5),
    ],
)
def test_bytes_are_compared(runner: CallRunner, one: bytes, other: bytes, size: int, end: int) -> None:
    calls = CallList()
    same = calls.here
    calls.end(5)
    first = calls.here
    calls.compare(calls.put(one), calls.put(other), size, same)
    calls.end(6)
    assert runner.run(calls.to_bytes(), first) == end


def test_another_list_is_entered_where_it_is_mapped() -> None:
    other = CallList()
    given = other.reserve(1)
    pid = other.call("getpid")
    other.end(value_at(given, 4))
    content = other.to_bytes()
    fd = make_sealed_memfd("list", bytes(content))
    calls = CallList()
    failure = calls.land()
    calls.end(-1)
    first = calls.here
    calls.call("mmap", ADDRESS, len(content), PROTECTION, FLAGS, fd, 0, fail=failure)
    calls.store(77, ADDRESS + given[2] + 4)
    calls.enter(ADDRESS, pid * call_list.INSTRUCTION_BYTES)
    runner = RUNNERS[os.uname().machine]
    assert runner.run(calls.to_bytes(), first) == 77
    mapping = Mapping(len(content))
    assert result_in(mapping.memory, pid) == os.getpid()
    # There is one already: nothing is covered.
    assert runner.run(calls.to_bytes(), first) == -1
    assert is_mapped()
    del mapping
    assert not is_mapped()
    assert os.pread(fd, len(content), 0) == content
    os.close(fd)


def is_mapped() -> bool:
    return f"{ADDRESS:x}-" in Path("/proc/self/maps").read_text()


def test_the_list_itself_is_an_argument(runner: CallRunner) -> None:
    read_fd, write_fd = os.pipe()
    calls = CallList()
    calls.set_header(1, 2, 3, 4, 5, 6, 7)
    first = calls.here
    calls.call("write", write_fd, BEGINNING, 16)
    calls.end()
    assert runner.run(calls.to_bytes(), first) == 0
    assert os.read(read_fd, 100) == (0xFFFF).to_bytes(8, "little") + (1).to_bytes(8, "little")
    os.close(read_fd)
    os.close(write_fd)


def test_vectors_are_pointers_that_execve_takes(runner: CallRunner) -> None:
    read_fd, write_fd = os.pipe()
    calls = CallList()
    first = calls.here
    calls.call("dup3", write_fd, 1, 0)
    arguments = calls.vector(["sh", "-c", "echo $A ${#} $0", "zero", "one"])
    calls.call("execve", calls.text("/bin/sh"), arguments, calls.vector(["A=b c"]))
    calls.call("exit_group", 9)
    memory = calls.to_bytes()
    pid = os.fork()
    if pid == 0:
        runner.run(memory, first)
    os.close(write_fd)
    assert os.waitpid(pid, 0)[1] == 0
    assert os.read(read_fd, 100) == b"b c 1 zero\n"
    os.close(read_fd)


def test_an_empty_vector_is_null(runner: CallRunner) -> None:
    calls = CallList()
    first = calls.here
    place = calls.vector([])
    calls.end(value_at(place))
    assert runner.run(calls.to_bytes(), first) == 0


@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 7)), min_size=1, max_size=20))
def test_both_do_the_same(stores: list[tuple[int, int]]) -> None:
    seen = []
    for runner in RUNNERS.values():
        calls = CallList()
        cells = calls.put(bytes(32))
        first = calls.here
        for value, cell in stores:
            calls.store(value, within(cells, 4 * cell))
            calls.store(value_at(cells, 4 * cell), within(cells, 4 * (7 - cell)))
        calls.end(value_at(cells))
        memory = calls.to_bytes()
        seen.append((runner.run(memory, first), bytes(memory)))
    assert seen[0] == seen[1]


def test_a_copy_goes_its_own_way() -> None:
    calls = CallList()
    calls.put(b"12345678")
    other = calls.copy()
    other.call("getpid")
    other.replace((1, 1, 0), b"87654321")
    assert calls.here == 1
    assert b"12345678" in calls.to_bytes()
    assert b"87654321" in other.to_bytes()


def test_a_list_has_an_end() -> None:
    calls = CallList()
    while calls.here < call_list.MAX_INSTRUCTIONS:
        calls.call("getpid")
    with pytest.raises(KernelError, match="more than 4095 steps") as refused:
        calls.call("getpid")
    assert refused.value.errno == errno.E2BIG


_OTHER = """
        .text
        .globl  _start
_start: adr     x0, list
        mov     x1, #{first}
        bl      code
        mov     x8, #94
        svc     #0
        .balign 64
code:   .incbin "{code}"
        .data
        .balign 64
list:   .incbin "{content}"
"""


def test_the_other_processors_code_does_the_same(tmp_path: Path) -> None:
    """aarch64, by qemu-user: it fails, goes on, stores, relocates, compares, enters, and says how it ended."""
    numbers = numbers_of("aarch64")
    assert set(numbers) == set(numbers_of("x86_64"))
    calls = CallList()
    absent = calls.errors(errno.ENOENT)
    failure = calls.land()
    calls.call("exit_group", 42)
    wrong = calls.land()
    calls.call("exit_group", 44)
    first = calls.here
    content = b"hello from the list\n"
    calls.call("openat", -100, calls.text("/no/such/file"), 0, 0, fail=failure, ignored=absent)
    cell = calls.put(bytes(8))
    calls.store(1, cell)
    calls.call("write", value_at(cell), calls.put(content), len(content), fail=failure)
    calls.vector(["a", "b"])
    calls.compare(calls.put(b"same"), calls.put(b"sane"), 4, wrong)
    calls.compare(calls.put(b"same"), calls.put(b"sane"), 2, calls.here + 2)
    calls.call("exit_group", 43)
    calls.call("umask", 0)
    calls.store(7, slot_of(calls.here + 1))
    leads = calls.call("umask", 0, zero=calls.here + 2)
    calls.call("exit_group", 46)
    calls.compare(slot_of(leads), calls.put((7).to_bytes(8, "little")), 8, calls.here + 2)
    calls.call("exit_group", 47)
    calls.enter(BEGINNING, (calls.here + 2) * call_list.INSTRUCTION_BYTES)
    calls.call("exit_group", 45)
    calls.call("close", -1, fail=failure)
    calls.end(1)
    memory = calls.to_bytes()
    by_number = {number: name for name, number in numbers_of(os.uname().machine).items()}
    for index in range(failure, calls.here):
        at = index * call_list.INSTRUCTION_BYTES
        number = int.from_bytes(memory[at : at + 2], "little")
        if number in by_number:
            memory[at : at + 2] = numbers[by_number[number]].to_bytes(2, "little")
    (tmp_path / "list").write_bytes(memory)
    (tmp_path / "code").write_bytes(call_runner.BYTES["aarch64"])
    source = _OTHER.format(first=first * 64, code=tmp_path / "code", content=tmp_path / "list")
    (tmp_path / "main.S").write_text(source.replace("adr     x0, list", "ldr     x0, =list"))
    subprocess.run([tool("aarch64", "as"), tmp_path / "main.S", "-o", tmp_path / "main.o"], check=True)
    subprocess.run([tool("aarch64", "ld"), "-N", tmp_path / "main.o", "-o", tmp_path / "main"], check=True)
    done = subprocess.run(["qemu-aarch64", tmp_path / "main"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (42, content)
