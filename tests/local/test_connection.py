"""How an endpoint is reached: proxies, certificates, its address."""

from __future__ import annotations

import ssl
import traceback
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cozeloop_magic.entities.prompt import ExecuteResult, LLMConfig, Message
from cozeloop_magic.errors import LocalLoopError, RemoteError
from cozeloop_magic.local.connection import CONNECTION_VARIABLES, proxy_for
from cozeloop_magic.local.models import Parameters
from cozeloop_magic.local.openai_model import OpenAIModel
from tests.local.endpoint import WHOLE, ask, stream


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CONNECTION_VARIABLES:
        monkeypatch.delenv(name, raising=False)


class TestTheWayThere:
    @pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
    @pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9"])
    @pytest.mark.parametrize("no_proxy", ["", "localhost,127.0.0.1"])
    def test_a_loopback_address_is_reached_directly(
        self, serve: Any, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, no_proxy: str
    ) -> None:
        monkeypatch.setenv(name, proxy)
        monkeypatch.setenv("no_proxy", no_proxy)
        assert ask(serve(stream(WHOLE))).text == "Whole answer"

    def test_elsewhere_a_proxy_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://user:s3cret@127.0.0.1:9")
        model = OpenAIModel("http://models.example/v1", "m", "")
        with pytest.raises(RemoteError, match=r"through the proxy http://127\.0\.0\.1:9") as caught:
            model.generate([Message("user", "x")], Parameters(LLMConfig()), lambda piece: True)
        assert "s3cret" not in str(caught.value)

    def test_one_that_cannot_be_used_is_told_before_anything_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALL_PROXY", "socks9://127.0.0.1:9")
        with pytest.raises(
            LocalLoopError,
            match=r"The proxy socks9://127\.0\.0\.1:9, which the environment names for http://models\.example",
        ):
            OpenAIModel("http://models.example/v1", "m", "")

    def test_a_query_in_the_address_goes_along(self, serve: Any) -> None:
        endpoint = serve(stream(WHOLE))
        ask(endpoint, path="/openai?api-version=2024-06-01")
        assert endpoint.paths == ["/openai/chat/completions?api-version=2024-06-01"]

    def test_a_proxy_is_asked_for_what_is_elsewhere(self, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        proxy = serve(stream(WHOLE))
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))  # as many write it
        monkeypatch.setenv("ALL_PROXY", "socks9://127.0.0.1:9")
        model = OpenAIModel("http://models.example/v1", "m", "")
        model.generate([Message("user", "x")], Parameters(LLMConfig()), lambda piece: True)
        assert proxy.paths == ["http://models.example/v1/chat/completions"]

    @pytest.mark.parametrize("no_proxy", ["models.example", ".example", "*", "models.example:80"])
    def test_a_host_that_needs_no_proxy_is_reached_directly(
        self, monkeypatch: pytest.MonkeyPatch, no_proxy: str
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", no_proxy)
        assert proxy_for("http://models.example:80/v1") == ""

    @pytest.mark.parametrize(
        ("proxy", "shown"),
        [
            ("socks9://me:s3cret@proxy.example:9", "socks9://proxy.example:9"),
            ("http://me:s3cret@proxy.example:port", "http://proxy.example:port"),
        ],
    )
    def test_one_that_cannot_be_used_is_named_without_its_password(
        self, monkeypatch: pytest.MonkeyPatch, proxy: str, shown: str
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(LocalLoopError) as caught:
            OpenAIModel("https://models.example/v1", "m", "")
        said = "".join(traceback.format_exception(caught.value))
        assert f"The proxy {shown}, which" in said and "s3cret" not in said


class TestCertificates:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A certificate of a company's own, for 127.0.0.1, with its key."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a company")])
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        address = x509.IPAddress(ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        signed = builder.sign(key, hashes.SHA256())
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        file = tmp_path / "its.pem"
        file.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        return file

    @pytest.fixture
    def secure(self, serve: Any, certificate: Path) -> str:
        endpoint = serve(stream(WHOLE))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        endpoint.use_tls(context)
        return str(endpoint.url)

    @pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_a_company_s_own_are_trusted_where_the_environment_names_them(
        self, secure: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(name, str(certificate))
        pieces: list[ExecuteResult] = []
        model = OpenAIModel(secure + "/v1", "m", "")
        model.generate([Message("user", "x")], Parameters(LLMConfig()), lambda piece: not pieces.append(piece))
        assert pieces[0].text == "Whole answer"

    def test_they_are_not_otherwise(self, secure: str) -> None:
        with pytest.raises(RemoteError, match="cannot be reached"):
            OpenAIModel(secure, "m", "").generate([Message("user", "x")], Parameters(LLMConfig()), lambda piece: True)

    @pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
    @pytest.mark.parametrize("content", [None, "no certificate"])
    def test_what_cannot_be_read_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | None
    ) -> None:
        file = tmp_path / "company.pem"
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv(name, str(file))
        with pytest.raises(LocalLoopError, match=rf"that {name} names, .*company\.pem, cannot be read"):
            OpenAIModel("https://models.example/v1", "m", "")
