"""Certificates made for tests by `cryptography`."""
from __future__ import annotations

import datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@cache
def made(subject: str, names: tuple[str, ...] = (), issuer: str = "Test CA", first: int = 1_700_000_000, last: int = 1_800_000_000) -> bytes:
    """A certificate in DER. `issuer` equal to `subject` makes it self-signed."""
    key = ec.derive_private_key(7, ec.SECP256R1())

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Org"), x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def moment(seconds: int) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

    builder = (x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named(issuer)).public_key(key.public_key()).serial_number(77)
               .not_valid_before(moment(first)).not_valid_after(moment(last))
               .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
