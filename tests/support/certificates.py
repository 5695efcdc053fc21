"""Certificates for a Docker Engine and its clients, made with openssl on demand."""

from __future__ import annotations

import uuid
from pathlib import Path

from buildkit_bisect.system import process

_CONFIG = """[req]
distinguished_name = req
[ca]
default_ca = here
[here]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[extensions]
subjectAltName = IP:127.0.0.1
extendedKeyUsage = serverAuth, clientAuth
[v3_ca]
basicConstraints = critical, CA:true
"""


class Authority:
    """Signs certificates for 127.0.0.1, for servers and clients; keeps its files in *folder*."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._config = folder / "openssl.cnf"
        self._config.write_text(_CONFIG.format(folder=folder))
        (folder / "index.txt").touch()
        self.pem = folder / "ca.pem"
        self._key = folder / "ca-key.pem"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-config", self._config, "-extensions", "v3_ca", "-subj", f"/CN=CA {uuid.uuid4()}"),
            *("-keyout", self._key, "-out", self.pem),
        )

    def sign(self, into: Path, *, expired: bool = False) -> Path:
        """Create *into* with ca.pem, cert.pem and key.pem, for DOCKER_CERT_PATH."""
        into.mkdir(parents=True)
        request = into / "request.pem"
        _openssl(
            *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"),
            *("-keyout", into / "key.pem", "-out", request),
        )
        long_ago = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
        _openssl(
            *("ca", "-batch", "-notext", "-config", self._config, "-extensions", "extensions"),
            *("-cert", self.pem, "-keyfile", self._key, *(long_ago if expired else ("-days", "2"))),
            *("-in", request, "-out", into / "cert.pem"),
        )
        (into / "ca.pem").write_bytes(self.pem.read_bytes())
        return into


def _openssl(*words: object) -> None:
    process.run(["openssl", *map(str, words)], timeout=60)
