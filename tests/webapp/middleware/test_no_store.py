"""Nothing of a signed-in user's pages is left in a cache."""

import pytest
from django.test import Client


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/", "/patients/", "/patients/new", "/api/patients"])
def test_pages_of_a_signed_in_user_are_not_stored(client_signed_in: Client, address: str) -> None:
    answer = client_signed_in.get(address)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


def test_health_is_nobodys(client: Client) -> None:
    assert "Cache-Control" not in client.get("/healthz")
