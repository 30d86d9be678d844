"""What only the product behind its proxy can show."""

import base64
import http.client
import json
import re
from contextlib import closing

import pytest

from serving import healthcheck
from tests.deployment.laid_out.site import HOST, Site

pytestmark = pytest.mark.xdist_group("image")


def test_http_leads_to_https(site: Site) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", site.http)) as connection:
        connection.request("GET", "/patients/?q=x", headers={"Host": HOST})
        response = connection.getresponse()
    assert response.status == 308
    assert response.headers["Location"] == f"https://{HOST}/patients/?q=x"


@pytest.mark.parametrize("claimed", [{}, {"X_Forwarded_Proto": "http"}])
def test_product_knows_that_it_is_behind_tls(site: Site, claimed: dict[str, str]) -> None:
    response, page = site.ask("/login", **claimed)
    assert response.status == 200
    assert "max-age" in response.headers["Strict-Transport-Security"]
    assert "Secure" in response.headers["Set-Cookie"]
    style = re.search(rb'href="(/static/[^"]+\.css)"', page)
    assert style
    assert site.ask(style[1].decode())[0].status == 200, "static files are in the image"


@pytest.mark.parametrize(
    "path", ["/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/metrics?x"]
)
def test_figures_are_not_for_the_outside(site: Site, path: str) -> None:
    response, page = site.ask(path)
    assert response.status == 404
    assert b"nginx" in page, "the proxy's own answer"


def test_foreign_host_names_are_refused(site: Site) -> None:
    assert site.ask("/login", Host="evil.example")[0].status == 400


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    site.image.run("python", "manage.py", "demo_user")
    return site.image.run("python", "manage.py", "api_token", "demo").split()[-1]


def test_field_goes_through_proxy_and_model_to_the_volume(site: Site, token: str) -> None:
    drawn = site.image.temporary / "smear.jpg"
    site.image.run("python", "manage.py", "draw_smear", str(drawn))
    image = base64.b64encode(drawn.read_bytes()).decode()
    response, body = site.ask(
        "/api/diagnose",
        json.dumps({"image": image}).encode(),
        Authorization=f"Token {token}",
        Content_Type="application/json",
    )
    assert response.status == 201, body
    assert json.loads(body)["status"] == "screened"
    assert list((site.image.media / "fields").rglob("*.jpg"))


def test_largest_upload_reaches_the_product(site: Site, token: str) -> None:
    """As base64; that it is no image is the product's to say, not the proxy's."""
    largest = int(site.image.environment["MAX_UPLOAD_BYTES"])
    image = base64.encodebytes(bytes(largest)).decode()
    response, body = site.ask(
        "/api/diagnose",
        json.dumps({"image": image}).encode(),
        Authorization=f"Token {token}",
        Content_Type="application/json",
    )
    assert response.status == 415, body
    assert json.loads(body)["code"] != "upload_too_large"


def test_form_with_many_fields_goes_through(site: Site) -> None:
    """10 of the largest at once; without a session the product answers 403, the proxy not 413."""
    head = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
    body = (head + bytes(20 * 2**20) + b"\r\n") * 10 + b"--x--\r\n"
    address = "/diagnoses/unassigned"
    response, _ = site.ask(address, body, Content_Type="multipart/form-data; boundary=x")
    assert response.status in (302, 403)


def test_larger_than_any_form_ends_at_the_proxy(site: Site) -> None:
    with site.connection() as connection:
        connection.putrequest("POST", "/", skip_host=True)
        connection.putheader("Host", HOST)
        connection.putheader("Content-Length", str(257 * 2**20))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_health_check_finds_the_web_ready(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "PORT", site.web_port)
    monkeypatch.setattr(healthcheck, "own_addresses", lambda: ["127.0.0.1"])
    healthcheck.main()


def test_proxy_writes_no_address(site: Site) -> None:
    """A large body alone would make it warn in its error log."""
    site.ask("/specimens/H-2024-117/edit?patient=Lovelace", bytes(2**20))
    written = [path for path in (site.image.root.parent / "proxy").rglob("*") if path.is_file()]
    assert all(b"H-2024-117" not in path.read_bytes() for path in written)
