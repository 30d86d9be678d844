"""What only a real server and a real client can show."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests.product import Served
from tests.waiting import WITHIN_S


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
def test_a_client_that_sends_60_megabytes_before_it_listens_hears_why_not(
    served: Served, content_type: str
) -> None:
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=WITHIN_S)
    connection.request("POST", "/api/diagnose", bytes(60 * 2**20), {"Content-Type": content_type})
    response = connection.getresponse()
    assert response.status == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.load(response)["code"] == "upload_too_large"
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200, "the connection is still in step"
