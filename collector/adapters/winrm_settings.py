"""The keys of an endpoint that is reached over WinRM, and how they become a login."""

from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from collector.adapters.winrm_certificate import require_pair
from collector.adapters.winrm_session import Target
from collector.errors import ConfigError
from collector.model.host import Credential, Endpoint

HTTP_PORT, HTTPS_PORT = 5985, 5986
"""TCP ports of the service since WinRM 2.0."""

_IPV6 = 6


class WinrmSettings(Endpoint):
    """What every endpoint over WinRM can be told."""

    port: int = Field(
        default=HTTPS_PORT, ge=1, le=65_535, description="TCP port; left out without TLS, it is 5985."
    )
    tls: bool = Field(
        default=True,
        description="HTTPS. Without it, the transport encrypts each message; nothing goes in the clear.",
    )
    transport: Literal["ntlm", "kerberos", "credssp", "certificate", "basic"] = Field(
        default="ntlm", description="How to log in. Certificate, basic and credssp need TLS."
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of the CA, or of the host's own certificate; by default the system's CAs.",
    )
    certificate: Path | None = Field(
        default=None,
        description="PEM file of our certificate for the transport certificate; "
        "its key is the credential's private_key, as file:PATH.",
    )
    insecure_accept_any_certificate: bool = Field(
        default=False,
        description="Log in to whoever answers at this address. Whoever that is gets the login, and by "
        "credssp the password; only with this does credssp go without TLS.",
    )

    @model_validator(mode="before")
    @classmethod
    def _port_of_http(cls, data: Any) -> Any:  # noqa: ANN401 - what the user wrote
        if isinstance(data, dict) and data.get("tls") is False:
            return {"port": HTTP_PORT, **data}
        return data

    @model_validator(mode="after")
    def _nothing_in_the_clear(self) -> Self:
        if not self.tls and self.transport in ("certificate", "basic"):
            raise ValueError(f"the transport {self.transport} needs `tls: true`")
        if not self.tls and self.transport == "credssp" and not self.insecure_accept_any_certificate:
            raise ValueError(
                "the transport credssp hands over the password, so it needs `tls: true`, to prove the host; "
                "or `insecure_accept_any_certificate: true`, to risk it"
            )
        if self.transport == "certificate" and self.certificate is None:
            raise ValueError("the transport certificate needs the key `certificate`")
        return self

    @property
    def url(self) -> str:
        """Where the service listens."""
        return url_of(self.address, self.port, tls=self.tls)

    @property
    def accounts(self) -> str:
        """Those of Windows: WinRM, Hyper-V and SMB ask the same ones, and three refusals may lock them."""
        return f"windows://{self.address}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user must be told of such an endpoint."""
        if self.insecure_accept_any_certificate and self.transport == "credssp":
            return (f"no certificate of {self.url} is verified: whoever answers there may get the PASSWORD",)
        if self.tls and self.insecure_accept_any_certificate:
            return (f"the certificate of {self.url} is NOT verified: whoever answers there gets the login",)
        return ()

    def target(self, credential: Credential | None) -> Target:
        """How to log in. The password is fetched here. Raises: ConfigError, SecretError."""
        user, password, key = _login(self, credential)
        return Target(
            url=self.url,
            transport=self.transport,
            verify=not self.insecure_accept_any_certificate,
            ca_file=str(self.ca_file) if self.ca_file else None,
            certificate=str(self.certificate) if self.certificate else None,
            key=key,
            user=user,
            password=password,
        )


def url_of(address: str, port: int, *, tls: bool) -> str:
    """The URL of a WinRM service (MS-WSMV 3.1.1); an IPv6 address stands in brackets (RFC 3986, 6874)."""
    host = address
    with contextlib.suppress(ValueError):  # a name
        if ipaddress.ip_address(address).version == _IPV6:
            host = f"[{address.replace('%', '%25')}]"
    return f"http{'s' if tls else ''}://{host}:{port}/wsman"


def _login(settings: WinrmSettings, credential: Credential | None) -> tuple[str, str, str | None]:
    """User, password and the path of a private key, as far as the transport needs them."""
    from collector.config.secrets import reveal

    if settings.transport == "certificate":
        key = credential.private_key if credential else None
        if key is None or key.scheme != "file":
            raise ConfigError(
                f"the endpoint {settings.identity} needs a credential whose `private_key` is a file",
                hint="Give it `private_key: file:PATH`, without a passphrase, and `chmod 600` that file.",
            )
        assert settings.certificate is not None
        require_pair(settings.certificate, reveal(key), settings.identity)
        return "", "", str(key.base / Path(key.locator).expanduser())
    if settings.transport == "kerberos":
        user = (credential.username if credential else None) or ""
        if "\\" in user:
            raise ConfigError(
                f"the endpoint {settings.identity} logs in by Kerberos, which knows no DOMAIN\\user",
                hint="Write the user as USER@REALM, the realm in capitals.",
            )
        if credential is None or credential.password is None:
            return user, "", None  # there is a ticket
    if credential is None or not credential.username or credential.password is None:
        raise ConfigError(
            f"the endpoint {settings.identity} needs a credential with `username` and `password`",
            hint="Add one under `credentials`, and name it in the endpoint's `credential`.",
        )
    return credential.username, reveal(credential.password), None
