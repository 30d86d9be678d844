"""Fixtures of the deployment's tests."""

from collections.abc import Iterator

import pytest

from tests.deployment.laid_out.image import Image, laid_out
from tests.deployment.laid_out.site import Site, behind_proxy
from tests.servers.mariadb import free_port


@pytest.fixture
def unused_port() -> int:
    """A port of the loopback address on which nothing listens."""
    return free_port()


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The laid-out image, for tests in the xdist group ``image``."""
    with laid_out(tmp_path_factory.mktemp("image")) as image:
        yield image


@pytest.fixture(scope="session")
def site(image: Image) -> Iterator[Site]:
    """The product behind its proxy, for tests in the xdist group ``image``."""
    with behind_proxy(image) as site:
        yield site
