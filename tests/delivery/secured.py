"""Apache Kafka with TLS and ACLs, beside the plain listener that its administrator has.

Its users come by SCRAM-SHA-512, or by certificate.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from streams.embedded.kafka import kafka
from streams.embedded.process import MissingPackageError, free_port
from streams.settings import Kafka

USER, PASSWORD = "headrace", "correct-horse"
SHOP, SHOP_PASSWORD = "shop", "battery-staple"


class Secured(NamedTuple):
    """Settings by listener."""

    administrator: Kafka
    by_password: Kafka
    by_certificate: Kafka


def make_certificates(directory: Path) -> None:
    """``ca.pem``, and what it has signed, key and certificate in one: ``server.pem`` and ``user.pem``."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    (directory / "san").write_text("subjectAltName=IP:127.0.0.1")
    new_key = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    for owner, name in (("server", "broker"), ("user", USER)):
        key, request, signed = (f"{owner}.{kind}" for kind in ("key", "csr", "crt"))
        openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", signed, "-days", "2", "-extfile", "san",
        )  # fmt: skip
        parts = [(directory / each).read_text() for each in (key, signed, "ca.pem")]
        (directory / f"{owner}.pem").write_text("".join(parts))


@contextmanager
def secured_kafka(directory: Path) -> Iterator[Secured]:
    """A node, as long as the context lasts."""
    if shutil.which("openssl") is None:
        raise MissingPackageError("certificates need `openssl`: install it")
    make_certificates(directory)
    address, certified_address = (f"127.0.0.1:{free_port()}" for _ in range(2))
    secure, certified = "listener.name.secure", "listener.name.certified"
    properties = {
        "listeners": f"SECURE://{address},CERTIFIED://{certified_address}",
        "advertised.listeners": f"SECURE://{address},CERTIFIED://{certified_address}",
        "listener.security.protocol.map": (
            "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,CERTIFIED:SSL"
        ),
        **{f"{listener}.ssl.keystore.type": "PEM" for listener in (secure, certified)},
        **{
            f"{listener}.ssl.keystore.location": str(directory / "server.pem")
            for listener in (secure, certified)
        },
        f"{certified}.ssl.client.auth": "required",
        f"{certified}.ssl.truststore.type": "PEM",
        f"{certified}.ssl.truststore.location": str(directory / "ca.pem"),
        f"{certified}.ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        f"{secure}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        f"{secure}.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # whoever comes by the plain listener
    }
    users = {USER: PASSWORD, SHOP: SHOP_PASSWORD}
    with kafka(directory / "kafka", properties=properties, scram=users) as cluster:
        by_password = Kafka(
            bootstrap_servers=address,
            partitions=2,
            session_timeout_s=6.0,
            rebalance_timeout_s=6.0,
            security_protocol="SASL_SSL",
            sasl_username=USER,
            sasl_password=PASSWORD,
            ssl_ca_file=str(directory / "ca.pem"),
        )
        by_certificate = replace(
            by_password,
            bootstrap_servers=certified_address,
            security_protocol="SSL",
            sasl_username="",
            sasl_password="",
            ssl_cert_file=str(directory / "user.pem"),
        )
        yield Secured(Kafka(bootstrap_servers=cluster.bootstrap_servers), by_password, by_certificate)
