import socket

import pytest

from diagnosis.core.predictors import addresses
from diagnosis.core.predictors.addresses import Address, model_urls, resolve


def test_several_models_in_one_setting() -> None:
    assert model_urls("http://a:8501/v1/models/m, https://b/v1/models/m/") == [
        "http://a:8501/v1/models/m",
        "https://b/v1/models/m",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tfserving:8501",
        "ftp://x/v1/models/m",
        "http:///v1/models/m",
        "http://x:8501",
        "http://x:8501/v1/models/",
        "http://x:8501/v1/models/m/versions/2",
        "http://x:port/v1/models/m",
        "http://x:70000/v1/models/m",
        "http://a:8501/v1/models/m,",
        "embedded:",
    ],
)
def test_what_is_no_model_url_is_said(url: str) -> None:
    with pytest.raises(ValueError, match="not the URL of a model"):
        model_urls(url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="no user") as caught:
        model_urls("http://user:geheim@x:8501/v1/models/m")
    assert "geheim" not in str(caught.value)


def test_a_name_with_several_addresses_gives_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert (host, port) == ("tfserving", 8501)
        found = ("10.0.0.2", "10.0.0.1", "fd00::1", "10.0.0.1")
        return [(2, 1, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
    assert resolve("http://tfserving:8501/v1/models/all_smear") == [
        Address("http://10.0.0.1:8501/v1/models/all_smear", "tfserving:8501"),
        Address("http://10.0.0.2:8501/v1/models/all_smear", "tfserving:8501"),
        Address("http://[fd00::1]:8501/v1/models/all_smear", "tfserving:8501"),
    ]


def test_https_keeps_the_name_its_certificate_is_for() -> None:
    url = "https://models.example/v1/models/all_smear"
    assert resolve(url) == [Address(url, "models.example")]


def test_a_name_without_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(OSError, match="not known"):
        resolve("http://nowhere:8501/v1/models/m")
