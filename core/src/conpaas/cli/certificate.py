"""``cps-user get_certificate``: make a key, have it certified, keep both."""

from __future__ import annotations

import argparse
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from conpaas.cli.call import Director
from conpaas.cli.failure import Usage
from conpaas.cli.trust import establish, write
from conpaas.cli.written import WrittenCommand


class GetCertificate(WrittenCommand):
    """Make a key and get a certificate for it, with name and password.

    The key never leaves this machine. It, the certificate and the authority of the director go
    to ~/.conpaas, where all other commands look for them.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the command's own options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--fingerprint",
            metavar="HEX",
            help="SHA-256 of the director's authority; without it, you are asked about a new one",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Do it."""
        settings = self.app.settings
        settings.wants_password = True
        settings.username = settings.username or _username()
        establish(settings, parsed_args.fingerprint)
        key = ec.generate_private_key(ec.SECP256R1())
        with Director(settings) as director:
            answer = director.call("/user/sign_certificate", {"csr": _request(key)})
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write(settings.ca_cert, answer.result["ca"])
        write(settings.key, pem.decode())
        write(settings.cert, answer.result["certificate"])
        print("User certificates installed successfully.")


def _request(key: ec.EllipticCurvePrivateKey) -> str:
    # The director writes whom the certificate is for: a request need not say it.
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return pem.decode()


def _username() -> str:
    name = ""
    if sys.stdin.isatty():
        name = input("Username: ").strip()
    if not name:
        raise Usage("who are you? give --username, or put username into cps-tools.conf")
    return name
