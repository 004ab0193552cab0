"""Every command of the page on Docker tasks works as it stands: a cluster with the engine, which has the page's image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.engine import images
from testbed.engine.engine import Engine
from testbed.one_host import OneHost
from tests.cluster.pages import DOCS, blocks_of, missing, run_page

PAGE = DOCS / "howto/docker.md"
IMAGE = "busybox:1.36"

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]


@pytest.fixture
def host(engine: Engine) -> Iterator[OneHost]:
    """Nothing is fetched for it: the image is ours, under the page's name."""
    settings = ["--hostname=agent1", "--containerizers=native,docker", f"--docker-socket={engine.socket}"]
    made = OneHost.make(agent_arguments=settings)
    repository, _, tag = IMAGE.partition(":")
    with images.client(engine) as api:
        api.tag(images.BUSYBOX, repository, tag)
        try:
            made.start()
            yield made
        finally:
            made.stop()
            api.remove_image(IMAGE)


def test_its_commands_do_what_it_says(host: OneHost) -> None:
    code, output = run_page(PAGE, host)
    assert IMAGE in PAGE.read_text(encoding="utf-8")
    assert (code, missing(blocks_of(PAGE), output)) == (0, []), output
