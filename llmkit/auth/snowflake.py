"""
Snowflake's key pairs: a token that is not fetched but signed here, with the private key whose public half the user has there.

Rule 1: ``cryptography`` is imported when the first token is signed, not before.
Rule 2: neither the key nor its passphrase is in any text, frame or exception that leaves this file.

Source: Snowflake documentation, "Authenticating to the server" of the SQL API, "Account identifiers" and "Key-pair authentication
troubleshooting"; the tokens of snowflake-connector-python 5.2; RFC 7519 and RFC 7515, section 3; read 2026-11-21.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from os import PathLike
from typing import Any

from llmkit.auth.tokens import Grant
from llmkit.errors import ConfigurationError, LLMKitError

__all__ = ["TOKEN_TYPE", "KeyPair", "account_claim"]

TOKEN_TYPE = "KEYPAIR_JWT"  # noqa: S105 - a word of the header that says what the token is
LIFE = 3540.0  # seconds; the server takes none that lives longer than an hour, and its clock is not ours
MARGIN = 300.0  # seconds before it expires that a token is signed anew


def account_claim(account: str) -> str:
    """
    Return *account*, an identifier, a host or a URL, as it stands in a token: without region and cloud, in upper case.

    ``myorg-account1`` keeps its hyphen; of ``xy12345.eu-central-1.aws`` the first part is left, of ``xy12345-eu.global`` what stands
    before the first hyphen.
    """
    name = account.strip().rstrip("/").rpartition("://")[2].lower().removesuffix(".snowflakecomputing.com")
    if ".global" in name:
        name = name.partition("-")[0]
    return name.partition(".")[0].upper()


class KeyPair:
    """
    A source of tokens that are signed with a private key.

    Args:
        account: The account's identifier.
        user: The user's login name.
        private_key: The key in PKCS 8: PEM, also with its line breaks written as a backslash and an n, DER, or DER in
            base64; or an RSA key of ``cryptography``.
        private_key_path: A file that holds it; read again for each token, so that a key that is replaced is found.
        passphrase: What the key is encrypted with.

    Raises:
        ConfigurationError: If there is not exactly one of key and path, or one of them is nothing of the kind.
    """

    name = "Snowflake's key pair"

    def __init__(
        self,
        *,
        account: str,
        user: str,
        private_key: Any = None,
        private_key_path: str | PathLike[str] | None = None,
        passphrase: str | bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if (private_key is None) == (private_key_path is None):
            msg = "Snowflake takes the option 'private_key' or 'private_key_path', one of them."
            raise ConfigurationError(msg)
        if private_key is not None and not isinstance(private_key, (str, bytes)) and not hasattr(private_key, "sign"):
            msg = f"The option 'private_key' is a key in PEM or DER, or one of cryptography, not {type(private_key).__name__}."
            raise ConfigurationError(msg)
        self._subject = f"{account_claim(account)}.{user.upper()}"
        self._key: Any = _Hidden(private_key)
        self._path = private_key_path
        self._passphrase = None if passphrase is None else _Hidden(passphrase)
        self._clock = clock

    @property
    def account(self) -> str:
        """The user in the account."""
        return self._subject

    def get(self, *, anew: bool) -> Grant:
        """Return a token. (Each is signed anew.) Raises as ``TokenSource.get``."""
        failure: LLMKitError
        try:
            key = self._loaded()
        except ImportError:
            failure = ConfigurationError("Snowflake's key pairs need cryptography: pip install 'llmkit[snowflake]'.")
        except OSError as error:
            failure = ConfigurationError(f"Snowflake's private key cannot be read from {self._path}: {error.strerror}.")
        except (ValueError, TypeError) as error:
            failure = ConfigurationError(_unusable(error))
        else:
            return self._signed(key)
        raise failure

    def _loaded(self) -> Any:
        """Return the key, as ``cryptography`` has it."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

        held = self._key.value
        if self._path is not None:
            with open(self._path, "rb") as file:
                held = file.read()
        if isinstance(held, str):
            # Variables hold keys in one line.
            held = held.replace("\\n", "\n").encode() if "-----BEGIN" in held else base64.b64decode(held, validate=True)
        if isinstance(held, bytes):
            load = load_pem_private_key if b"-----BEGIN" in held else load_der_private_key
            held = load(held, password=self._password())
        if not isinstance(held, RSAPrivateKey):
            msg = "it is not an RSA key"
            raise ValueError(msg)  # noqa: TRY004 - as the library says of a file that holds something else
        return held

    def _password(self) -> bytes | None:
        given = None if self._passphrase is None else self._passphrase.value
        return given.encode() if isinstance(given, str) else given

    def _signed(self, key: Any) -> Grant:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding

        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public = key.public_key().public_bytes(serialization.Encoding.DER, form)
        fingerprint = base64.b64encode(hashlib.sha256(public).digest()).decode("ascii")
        now = self._clock()
        claims = {"iss": f"{self._subject}.SHA256:{fingerprint}", "sub": self._subject, "iat": int(now), "exp": int(now + LIFE)}
        signing = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
        signature = key.sign(signing.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
        return Grant(token=f"{signing}.{_unpadded(signature)}", expires=now + LIFE, margin=MARGIN)

    def __repr__(self) -> str:
        return f"KeyPair({self._subject})"


class _Hidden:
    """A value of whatever type that does not show itself."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> tuple[object, ...]:
        msg = "A private key is not pickled."
        raise TypeError(msg)


def _unusable(error: Exception) -> str:
    """Return what is wrong with a key, in words that quote nothing of it."""
    text = str(error).lower()
    if "password was not given" in text:
        return "Snowflake's private key is encrypted: pass options={'passphrase': ...}, or set SNOWFLAKE_PRIVATE_KEY_PASSPHRASE."
    if "password was given" in text:
        return "Snowflake's private key is not encrypted, but there is a passphrase for it."
    if "not an rsa key" in text:
        return "Snowflake's private key is not an RSA key."
    return "Snowflake's private key cannot be read: it is no key in PEM or DER (PKCS 8), or the passphrase is wrong."


def _part(data: dict[str, Any]) -> str:
    return _unpadded(json.dumps(data, separators=(",", ":")).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
