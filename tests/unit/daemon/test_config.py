"""Every source, every precedence, every kind of mistake, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddock.daemon.config import Configuration, Invocation, Shown
from paddock.daemon.logging import LogFormat
from paddock.daemon.settings import (
    BOOLEAN,
    DURATION_S,
    PATH,
    SIZE_BYTES,
    TEXT,
    WORDS,
    Kind,
    Rejected,
    one_of,
    optional,
    setting,
    whole,
)
from paddock.model.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    state_dir: str = setting("/var/lib/d", "where the state is", PATH)
    interval_s: float = setting(1.0, "between rounds", DURATION_S, name="interval")
    reserve_bytes: int = setting(512 * 2**20, "left to the host", SIZE_BYTES, name="reserve")
    roles: tuple[str, ...] = setting((), "who may", WORDS)
    strict: bool = setting(default=False, help_text="refuse more", kind=BOOLEAN)
    port: int | None = setting(None, "TCP", optional(whole(1, 65535)))
    log_format: LogFormat = setting(LogFormat.LOGFMT, "how lines look", one_of(LogFormat))
    name: str = setting("", "shown", TEXT)

    def __post_init__(self) -> None:
        if self.strict and not self.roles:
            raise ConfigError(("strict: name the roles too",))


def load(tmp_path: Path, *arguments: str, **environment: str) -> Invocation[Settings]:
    loaded = Configuration("agentd", "1.2.3", Settings, str(tmp_path / "agentd.toml")).load(arguments, environment)
    assert isinstance(loaded, Invocation)
    return loaded


def problems(tmp_path: Path, *arguments: str, **environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, *arguments, **environment)
    return refused.value.problems


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path).settings == Settings()


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "agentd.toml").write_text('state_dir = "/file"\ninterval = "2s"\nreserve = "1GiB"\nname = "file"\n')
    (tmp_path / "conf.d" / "10.toml").write_text('interval = "3s"\nreserve = "2GiB"\nname = "ten"\n')
    (tmp_path / "conf.d" / "20.toml").write_text('reserve = "3GiB"\nname = "twenty"\n')
    loaded = load(tmp_path, "--name", "flag", PADDOCK_AGENTD_RESERVE="4GiB", PADDOCK_AGENTD_NAME="environment")
    assert (loaded.settings.state_dir, loaded.settings.interval_s) == ("/file", 3.0)
    assert (loaded.settings.reserve_bytes, loaded.settings.name) == (4 * 2**30, "flag")
    origins = dict(loaded.origins)
    assert origins["name"] == "--name"
    assert origins["reserve_bytes"] == "PADDOCK_AGENTD_RESERVE"
    assert origins["interval_s"] == f"{tmp_path}/conf.d/10.toml: interval"


@pytest.mark.parametrize(
    ("written", "field", "value"),
    [
        ("--interval=500ms", "interval_s", 0.5),
        ("--interval=15secs", "interval_s", 15.0),
        ("--interval=2mins", "interval_s", 120.0),
        ("--interval=1.5h", "interval_s", 5400.0),
        ("--reserve=0.5KiB", "reserve_bytes", 512),
        ("--state_dir=/x", "state_dir", "/x"),
        ("--roles=a, b", "roles", ("a", "b")),
        ("--roles=", "roles", ()),
        ("--port=8080", "port", 8080),
        ("--port=", "port", None),
        ("--log-format=json", "log_format", LogFormat.JSON),
    ],
)
def test_a_value_is_read(tmp_path: Path, written: str, field: str, value: object) -> None:
    assert getattr(load(tmp_path, written).settings, field) == value


def test_a_switch_needs_no_value(tmp_path: Path) -> None:
    assert load(tmp_path, "--strict", "--roles=a").settings.strict
    assert not load(tmp_path, "--strict=false").settings.strict


@pytest.mark.parametrize(
    "written",
    [
        "--interval=30",
        "--interval=-1s",
        "--interval=nans",
        "--interval=99999999999d",
        "--reserve=5",
        "--reserve=5MB",
        "--reserve=1048577TiB",
        "--state-dir=relative",
        "--port=0",
        "--port=65536",
        "--port=1e3",
        "--strict=yes",
        "--log-format=xml",
    ],
)
def test_a_bad_value_is_refused_with_what_would_be_accepted(tmp_path: Path, written: str) -> None:
    (problem,) = problems(tmp_path, written)
    assert problem.startswith(f"{written.partition('=')[0]}: ")
    assert "is not accepted: write " in problem


def test_all_problems_come_at_once_each_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "agentd.toml").write_text('state_dri = "/x"\ninterval = 30\nroles = ["a", "b,c"]\n')
    found = problems(tmp_path, "--prot=1", "lonely", "--reserve", PADDOCK_AGENTD_PROT="1", PADDOCK_OTHER="not ours")
    duration = "write a duration with its unit, ms, s, m, h or d: 30s"
    assert found == (
        "argument --prot=1: there is no setting prot; did you mean port?",
        "argument lonely: there is no setting lonely; agentd --help lists all",
        "argument --reserve: give it a value: --reserve=…",
        f"{tmp_path}/agentd.toml: there is no setting state_dri; did you mean state_dir?",
        f"{tmp_path}/agentd.toml: roles: write a text, a number, true or false, or a list of texts",
        "environment: there is no setting PADDOCK_AGENTD_PROT; did you mean PADDOCK_AGENTD_PORT?",
        f"{tmp_path}/agentd.toml: interval: '30' is not accepted: {duration}",
    )


def test_settings_that_contradict_each_other_are_a_problem_too(tmp_path: Path) -> None:
    assert problems(tmp_path, "--strict") == ("strict: name the roles too",)


def test_a_named_file_must_be_there_and_be_toml(tmp_path: Path) -> None:
    assert "No such file" in problems(tmp_path, f"--config={tmp_path}/none.toml")[0]
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe = [")
    assert "no TOML" in problems(tmp_path, "--config", f"{tmp_path}/bad.toml")[0]


@given(
    st.lists(
        st.text(max_size=12) | st.sampled_from(["--", "--=", "--state-dir", "--strict", "--port=", "--no"]), max_size=4
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_command_line_is_settings_words_or_all_its_problems(tmp_path: Path, arguments: list[str]) -> None:
    try:
        loaded = Configuration("agentd", "1", Settings, str(tmp_path / "none.toml")).load(arguments, {})
    except ConfigError as error:
        said: object = error.problems
    else:
        said = isinstance(loaded, Invocation | Shown)
    assert said


@pytest.mark.parametrize("kind", [BOOLEAN, DURATION_S, SIZE_BYTES, PATH, WORDS, whole(0, 9), one_of(LogFormat)])
@given(text=st.text(max_size=12) | st.from_regex(r"[0-9.]{1,5}[a-zA-Z]{0,4}"))
def test_any_text_is_a_value_or_rejected(kind: Kind[object], text: str) -> None:
    try:
        value = kind.parse(text)
    except Rejected as rejected:
        value = str(rejected)
    assert value.startswith("write ") if isinstance(value, str) and kind is not PATH else True
    assert value >= 0 if isinstance(value, int | float) else True


@given(st.integers(0, 2**60))
def test_sizes_are_shown_as_they_are_read(size_bytes: int) -> None:
    assert SIZE_BYTES.parse(SIZE_BYTES.show(size_bytes)) == size_bytes


def test_check_config_is_told_apart(tmp_path: Path) -> None:
    assert load(tmp_path, "--check-config").check_only
    assert not load(tmp_path).check_only


def test_help_and_version_are_words(tmp_path: Path) -> None:
    configuration = Configuration("agentd", "1.2.3", Settings, str(tmp_path / "agentd.toml"))
    version = configuration.load(["--version"], {})
    assert version == Shown(text="agentd 1.2.3")
    shown = configuration.load(["-h"], {})
    assert isinstance(shown, Shown)
    assert "--reserve=SIZE\n      left to the host [512MiB]" in shown.text
    assert "--interval=DURATION\n      between rounds [1s]" in shown.text
