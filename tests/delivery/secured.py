"""Apache Kafka with TLS, SCRAM-SHA-512 and ACLs, beside the plain listener that its administrator has."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.embedded.kafka import kafka
from streams.embedded.process import MissingPackageError, free_port
from streams.settings import Kafka

USER, PASSWORD = "headrace", "correct-horse"
SHOP, SHOP_PASSWORD = "shop", "battery-staple"


def make_certificates(directory: Path) -> None:
    """``ca.pem``, and ``server.pem`` with the key and certificate of 127.0.0.1 that it has signed."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    (directory / "san").write_text("subjectAltName=IP:127.0.0.1")
    new_key = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    openssl("req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=broker")
    openssl(
        "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "server.crt", "-days", "2", "-extfile", "san",
    )  # fmt: skip
    parts = [(directory / name).read_text() for name in ("server.key", "server.crt", "ca.pem")]
    (directory / "server.pem").write_text("".join(parts))


@contextmanager
def secured_kafka(directory: Path) -> Iterator[tuple[Kafka, Kafka]]:
    """Settings of the administrator's listener, and those of the user by the secured one."""
    if shutil.which("openssl") is None:
        raise MissingPackageError("certificates need `openssl`: install it")
    make_certificates(directory)
    address = f"127.0.0.1:{free_port()}"
    secure = "listener.name.secure"
    properties = {
        "listeners": f"SECURE://{address}",
        "advertised.listeners": f"SECURE://{address}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
        f"{secure}.ssl.keystore.type": "PEM",
        f"{secure}.ssl.keystore.location": str(directory / "server.pem"),
        f"{secure}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        f"{secure}.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # whoever comes by the plain listener
    }
    users = {USER: PASSWORD, SHOP: SHOP_PASSWORD}
    with kafka(directory / "kafka", properties=properties, scram=users) as cluster:
        yield (
            Kafka(bootstrap_servers=cluster.bootstrap_servers),
            Kafka(
                bootstrap_servers=address,
                partitions=2,
                session_timeout_s=6.0,
                rebalance_timeout_s=6.0,
                security_protocol="SASL_SSL",
                sasl_username=USER,
                sasl_password=PASSWORD,
                ssl_ca_file=str(directory / "ca.pem"),
            ),
        )
