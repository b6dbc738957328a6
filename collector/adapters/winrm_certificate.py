"""The certificate that we log in with over WinRM, and its key: do they serve?

They are looked at before there is a connection: OpenSSL would ask the terminal for a passphrase, and wait.
"""

from __future__ import annotations

from pathlib import Path

from collector.errors import ConfigError


def require_pair(certificate: Path, key: str, endpoint: str) -> None:
    """Raises: ConfigError: no certificate, no key, a key with a passphrase, or one of another certificate."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    def wrong(what: str, hint: str) -> ConfigError:
        return ConfigError(f"the endpoint {endpoint} cannot log in by certificate: {what}", hint=hint)

    try:
        ours = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    except OSError as error:
        raise wrong(f"{certificate}: {error.strerror}", "Name a PEM file in `certificate`.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise wrong(f"{certificate} holds none in PEM", "Convert it: `openssl x509 -inform der`.") from error
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        raise wrong(
            "its key has a passphrase, and nobody is there to type it",
            "Make a file without: `openssl pkey -in KEY -out PLAIN`, and `chmod 600` that file.",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise wrong("its key is none in PEM", "Name a PEM file in the credential's `private_key`.") from None
    if private.public_key() != ours:
        raise wrong(
            "the key is another certificate's", "Compare `openssl x509 -pubkey` and `openssl pkey -pubout`."
        )
