"""What `paddock simulate` does: reads a scenario, lets it run, writes what was measured."""

from __future__ import annotations

import os
from importlib.resources import files as package_files

from masterd.simulation.report import files, summary
from masterd.simulation.scenario import SIZE_LIMIT_BYTES, parse_scenario
from masterd.simulation.world import World
from paddock.model.errors import InvalidRequest


def shipped() -> list[str]:
    """The scenarios that come with Paddock."""
    found = package_files("masterd.simulation").joinpath("scenarios").iterdir()
    return sorted(each.name.removesuffix(".yaml") for each in found if each.name.endswith(".yaml"))


def read(name: str) -> str:
    """A file's text, or a shipped scenario's by its name. Raises InvalidRequest when there is neither."""
    if name in shipped():
        return package_files("masterd.simulation").joinpath("scenarios", f"{name}.yaml").read_text(encoding="utf-8")
    if not os.path.isfile(name):
        raise InvalidRequest("SCENARIO", name, f"name a YAML file, or one of ours: {', '.join(shipped())}")
    with open(name, encoding="utf-8", errors="replace") as file:
        return file.read(SIZE_LIMIT_BYTES + 1)


def simulate(name: str, directory: str, *, seed: int | None = None) -> list[tuple[str, ...]]:
    """Run it, write the files, and say in short how it went. `seed` replaces the scenario's own."""
    scenario = parse_scenario(read(name), seed=seed)
    measures = World(scenario).run()
    os.makedirs(directory, exist_ok=True)
    for file_name, content in files(scenario, measures).items():
        with open(os.path.join(directory, file_name), "w", encoding="utf-8") as file:
            file.write(content)
    return summary(measures)
