"""A certificate authority of the sandbox's own and one certificate for its SMTP listeners.

The authority's key is thrown away as soon as the one certificate is signed, and the authority is constrained
to loopback names and to the sandbox's own: trusting it opens no other door.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.accounts import write_secret

_YEARS = 10
_RENEW = timedelta(days=30)


@dataclass(frozen=True)
class Certificates:
    ca_path: Path
    chain_path: Path
    """Certificate and key in one PEM file, mode 0600."""

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.chain_path)
        return context


def ensure_certificates(directory: Path, name: str = "") -> Certificates:
    """The certificates in `directory`, for loopback names and `name`; makes them at the first start, for another name,
    and shortly before they expire."""
    certificates = Certificates(directory / "ca.pem", directory / "smtp-certificate.pem")
    if not (
        certificates.ca_path.exists() and certificates.chain_path.exists() and _serve(certificates, name)
    ):
        _make(certificates, name)
    return certificates


def _serve(certificates: Certificates, name: str) -> bool:
    leaf = x509.load_pem_x509_certificate(certificates.chain_path.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = not name or name in names.get_values_for_type(x509.DNSName)
    return known and leaf.not_valid_after_utc - datetime.now(UTC) > _RENEW


def _make(certificates: Certificates, name: str) -> None:
    now = datetime.now(UTC)
    own = [x509.DNSName(name)] if name else []
    served: list[x509.GeneralName] = [
        *own,
        x509.DNSName("localhost"),
        x509.IPAddress(ip_address("127.0.0.1")),
        x509.IPAddress(ip_address("::1")),
    ]
    constraints = x509.NameConstraints(
        permitted_subtrees=[
            *own,
            x509.DNSName("localhost"),
            x509.IPAddress(ip_network("127.0.0.0/8")),
            x509.IPAddress(ip_network("::1/128")),
        ],
        excluded_subtrees=None,
    )
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Provider sandbox CA")])
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), ca_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(constraints, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    leaf = (
        _builder(leaf_name, ca_name, leaf_key.public_key(), ca_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(served), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    write_secret(certificates.chain_path, (leaf.public_bytes(pem) + key).decode())
    certificates.ca_path.write_bytes(ca.public_bytes(pem))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    now: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
