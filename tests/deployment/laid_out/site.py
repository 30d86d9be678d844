"""The product behind its proxy: nginx with our configuration, TLS included."""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.deployment.laid_out.files import SITE, compose
from tests.deployment.laid_out.image import Image
from tests.product import ROOT
from tests.servers.mariadb import free_port
from tests.waiting import WITHIN_S

HOST = SITE["ALLOWED_HOSTS"]
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # where Debian puts nginx


@dataclass(frozen=True)
class Site:
    """The product behind its proxy."""

    image: Image
    web_port: int
    http: int
    https: int

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        """To the proxy, by TLS; the certificate is our own, so nobody vouches for it."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.https, context=context)
        with closing(connection):
            yield connection

    def ask(
        self, path: str, body: bytes | None = None, method: str | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer to one request, and its body."""
        with self.connection() as connection:
            sent = {"Host": HOST} | {n.replace("_", "-"): v for n, v in headers.items()}
            connection.request(method or ("POST" if body else "GET"), path, body, sent)
            response = connection.getresponse()
            return response, response.read()


def _nginx_configuration(folder: Path, ports: dict[str, int]) -> Path:
    """Ours, with this machine's ports, folders and addresses in place of the container's."""
    text = (ROOT / "serving/proxy/nginx.conf").read_text()
    replaced = {
        "listen 8080": f"listen 127.0.0.1:{ports['http']}",
        "listen 8443": f"listen 127.0.0.1:{ports['https']}",
        "$upstream:8000": f"$upstream:{ports['web']}",
        "set $upstream web": "set $upstream 127.0.0.1",
        "/run/secrets/": f"{folder}/secrets/",
        " /tmp/": f" {folder}/proxy/",
        "/dev/stderr": f"{folder}/proxy/error.log",
    }
    for theirs in replaced:
        assert theirs in text, theirs
    theirs = re.compile("|".join(map(re.escape, replaced)))
    text = theirs.sub(lambda found: replaced[found[0]], text)
    (folder / "proxy").mkdir()
    (folder / "nginx.conf").write_text(text)
    return folder / "nginx.conf"


def _certificate(folder: Path) -> None:
    files = ["-keyout", folder / "tls_key", "-out", folder / "tls_certificate"]
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={HOST}"]
    subprocess.run(
        ["openssl", "req", "-x509", *options, *files],
        check=True,
        capture_output=True,
    )


def wait_for(port: int) -> None:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port}")


@contextmanager
def behind_proxy(image: Image) -> Iterator[Site]:
    """The web service of Compose in ``image``, and nginx before it."""
    folder = image.root.parent
    ports = {name: free_port() for name in ("web", "http", "https")}
    _certificate(folder / "secrets")
    configuration = _nginx_configuration(folder, ports)
    program = shutil.which("nginx", path=PATH)
    assert program, "run tests/system_packages.sh"
    # In the container it is no root to begin with; here its workers must not become somebody else,
    # who may not enter these folders.
    user = "user root; " if os.getuid() == 0 else ""
    nginx = [program, "-c", str(configuration), "-e", str(folder / "proxy/error.log")]
    nginx += ["-g", f"{user}daemon off;"]
    checked = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr

    command = [
        word.replace("0.0.0.0:8000", f"127.0.0.1:{ports['web']}")
        for word in compose()["services"]["web"]["command"]
    ]
    # gunicorn trusts loopback addresses more than a proxy in another container: here it must not.
    variables = {"FORWARDED_ALLOW_IPS": "192.0.2.1", "ALLOWED_HOSTS": f"{HOST},127.0.0.1"}
    with (folder / "web.log").open("w") as log:
        web = image.start(*command, output=log, **variables)
    proxy = subprocess.Popen(nginx)
    try:
        wait_for(ports["web"])
        wait_for(ports["https"])
        yield Site(image, ports["web"], ports["http"], ports["https"])
    finally:
        proxy.terminate()
        proxy.wait(timeout=WITHIN_S)
        web.terminate()
        web.wait(timeout=WITHIN_S)
