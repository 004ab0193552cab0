"""Settings of a daemon: frozen dataclass ← defaults ← TOML file ← conf.d ← environment ← flags; all problems at once.

The same name everywhere: `state_dir` in the file, `PADDOCK_AGENTD_STATE_DIR` in agentd's environment, `--state-dir` or
Mesos' way of writing it, `--state_dir`, as a flag. An unknown name is an error that says the nearest known one.
"""

from __future__ import annotations

import difflib
import signal
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Generic, TypeVar

from paddock.daemon.settings import BOOLEAN, Rejected, Setting, spec_of
from paddock.model.errors import ConfigError, InvalidRequest, PaddockError

S = TypeVar("S")

_OWN_FLAGS = ("config", "check-config", "help", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation(Generic[S]):
    """What the command line and everything below it came to. `origins`: field → where its value was written."""

    settings: S
    check_only: bool
    origins: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The caller asked for words (--help, --version), not for a daemon."""

    text: str

    def tell(self) -> None:
        """On stdout. A reader that goes early (`agentd --help | head`) ends this process, as it ends any filter."""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        sys.stdout.write(f"{self.text}\n")
        sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """One value as it was written. `key` as there; `field` as in the dataclass."""

    field: str
    text: str
    where: str


class Configuration(Generic[S]):
    """Knows one daemon's settings class and where its values come from."""

    def __init__(self, program: str, version: str, settings_class: type[S], default_path: str) -> None:
        """`default_path`: read when it exists and no --config names another; its conf.d lies beside it."""
        self._program = program
        self._version = version
        self._class = settings_class
        self._default_path = default_path
        self._specs: dict[str, Setting] = {f.name: spec_of(f.metadata) for f in fields(settings_class)}  # type: ignore[arg-type]
        self._fields = {spec.flag.replace("-", "_") or name: name for name, spec in self._specs.items()}

    def load(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Invocation[S] | Shown:
        """Raises ConfigError with every problem of every source."""
        problems: list[str] = []
        flags, own = self._read_flags(arguments, problems)
        if "help" in own:
            return Shown(text=self._help())
        if "version" in own:
            return Shown(text=f"{self._program} {self._version}")
        given = [
            *self._read_files(own.get("config"), problems),
            *self._read_environment(environment, problems),
            *flags,
        ]
        settings = self._settle(given, problems)
        if settings is None or problems:
            raise ConfigError(tuple(problems))
        origins = tuple({each.field: each.where for each in given}.items())
        return Invocation(settings=settings, check_only="check-config" in own, origins=origins)

    def _settle(self, given: Iterable[_Given], problems: list[str]) -> S | None:
        values: dict[str, object] = {}
        for each in given:
            try:
                values[each.field] = self._specs[each.field].parse(each.text)
            except InvalidRequest as error:
                # Of resources, say, one of several: that one, under this setting's name.
                part = error.field.removeprefix(each.field).lstrip(".")
                problems.append(f"{each.where}: {part and f'{part}: '}{error.value} is not accepted: {error.remedy}")
            except (Rejected, PaddockError) as error:
                problems.append(f"{each.where}: {each.text!r} is not accepted: {error}")
        try:
            return self._class(**values)
        except PaddockError as error:
            # A __post_init__ that compares settings with each other.
            problems.append(str(error))
            return None

    def _unknown(self, where: str, name: str, known: Iterable[str]) -> str:
        nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
        remedy = f"did you mean {nearest[0]}?" if nearest else f"{self._program} --help lists all"
        return f"{where}: there is no setting {name}; {remedy}"

    def _read_flags(self, arguments: Sequence[str], problems: list[str]) -> tuple[list[_Given], Mapping[str, str]]:
        known = [*(name.replace("_", "-") for name in self._fields), *_OWN_FLAGS]
        found: list[_Given] = []
        own: dict[str, str] = {}
        rest = list(arguments)
        while rest:
            word = rest.pop(0)
            name, equals, text = word.removeprefix("--").partition("=")
            name = {"-h": "help"}.get(name, name).replace("_", "-")
            if name not in known or not (word.startswith("--") or word == "-h"):
                problems.append(self._unknown(f"argument {word}", name, known))
            elif name in _OWN_FLAGS and name != "config":
                own[name] = ""
            elif not equals and self._is_switch(name):
                found.append(_Given(field=self._fields[name.replace("-", "_")], text="true", where=f"--{name}"))
            elif not equals and (not rest or rest[0].startswith("--")):
                problems.append(f"argument {word}: give it a value: --{name}=…")
            elif name == "config":
                own[name] = text if equals else rest.pop(0)
            else:
                text = text if equals else rest.pop(0)
                found.append(_Given(field=self._fields[name.replace("-", "_")], text=text, where=f"--{name}"))
        return found, own

    def _is_switch(self, name: str) -> bool:
        field = self._fields.get(name.replace("-", "_"))
        return field is not None and self._specs[field].placeholder == BOOLEAN.placeholder

    def _read_environment(self, environment: Mapping[str, str], problems: list[str]) -> Iterator[_Given]:
        prefix = f"PADDOCK_{self._program.upper()}_"
        for variable, text in sorted(environment.items()):
            if not variable.startswith(prefix):
                continue
            name = variable.removeprefix(prefix).lower()
            if name in self._fields:
                yield _Given(field=self._fields[name], text=text, where=variable)
            else:
                known = [f"{prefix}{known.upper()}" for known in self._fields]
                problems.append(self._unknown("environment", variable, known))

    def _read_files(self, config_path: str | None, problems: list[str]) -> Iterator[_Given]:
        path = Path(config_path if config_path is not None else self._default_path)
        if config_path is not None or path.exists():
            yield from self._read_file(path, problems)
        for more in sorted((path.parent / "conf.d").glob("*.toml")):
            yield from self._read_file(more, problems)

    def _read_file(self, path: Path, problems: list[str]) -> Iterator[_Given]:
        try:
            table: dict[str, object] = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            problems.append(f"{path}: {error.strerror}; name a file that can be read with --config")
            return
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(f"{path}: no TOML: {error}")
            return
        for key, value in table.items():
            name = key.replace("-", "_")
            text = _as_text(value)
            if name not in self._fields:
                problems.append(self._unknown(str(path), key, self._fields))
            elif text is None:
                problems.append(f"{path}: {key}: write a text, a number, true or false, or a list of texts")
            else:
                yield _Given(field=self._fields[name], text=text, where=f"{path}: {key}")

    def flags(self) -> list[tuple[str, str]]:
        """Each flag with its words: of --help and of the manual page."""
        rows = [
            ("--config=PATH", f"read this file instead of {self._default_path}"),
            ("--check-config", "say every problem of the configuration, and end"),
            ("--version", "say the version, and end"),
        ]
        for name, field in self._fields.items():
            spec = self._specs[field]
            how = "; SIGHUP is enough" if spec.reloads else ""
            words = f"{spec.help_text}{how} [{spec.default_text}]"
            rows.append((f"--{name.replace('_', '-')}={spec.placeholder}", words))
        return rows

    def environment_words(self) -> str:
        """How else a setting may be given."""
        prefix = f"PADDOCK_{self._program.upper()}_NAME"
        return f"Each may also stand in the file as name = value, or in the environment as {prefix}."

    def _help(self) -> str:
        lines = [f"usage: {self._program} [--NAME=VALUE …]", ""]
        lines += [f"  {flag}\n      {words}" for flag, words in self.flags()]
        lines += ["", self.environment_words()]
        return "\n".join(lines)


def _as_text(value: object) -> str | None:
    """A TOML value in the form that flags have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(word, str | int) and "," not in str(word) for word in value):
        return ",".join(str(word) for word in value)
    return None
