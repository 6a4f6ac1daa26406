"""How every client of ours reaches the broker: address, encryption and credentials."""

import asyncio
import ssl
from typing import Any, NamedTuple

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from streams.settings import Kafka, SettingsError

PROBE_TIMEOUT_S = 3.0


class Refusal(NamedTuple):
    """Why a broker would not have us, with the way out."""

    sentence: str
    final: bool
    """Whether it would not change its mind. One that is starting may close connections, too."""


def connection_options(kafka: Kafka) -> dict[str, Any]:
    """What aiokafka's clients and kafka-python's take alike.

    Raises:
        SettingsError: A certificate or key cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers.split(","),
        "security_protocol": kafka.security_protocol,
    }
    if kafka.encrypted:
        options["ssl_context"] = ssl_context(kafka)
    if kafka.authenticated:
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password,
        }
    return options


def ssl_context(kafka: Kafka) -> ssl.SSLContext:
    """Trusts ``ssl_ca_file``, or what the system trusts; shows our certificate where there is one."""
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file or None)
        context.check_hostname = kafka.ssl_check_hostname
        if kafka.ssl_cert_file:
            context.load_cert_chain(
                kafka.ssl_cert_file, kafka.ssl_key_file or None, lambda: kafka.ssl_key_password
            )
    except OSError as error:  # ssl.SSLError is one
        files = kafka.ssl_ca_file, kafka.ssl_cert_file, kafka.ssl_key_file
        raise SettingsError(
            f"kafka.ssl_ca_file, ssl_cert_file, ssl_key_file = {', '.join(map(repr, files))}: expected "
            f"certificates and a key in PEM form that fit each other: {error.strerror or error}"
        ) from None
    return context


def refusal(kafka: Kafka) -> Refusal | None:
    """Why the first broker would not have us; None where nobody answers, or it would.

    A client that cannot connect tries again until its time is over and forgets why: one connection tells.
    """
    address = kafka.bootstrap_servers.split(",")[0]
    try:
        asyncio.run(_connect(kafka, address))
    except (SaslAuthenticationFailed, UnsupportedSaslMechanismError):
        return Refusal(
            f"The broker at {address} does not accept user {kafka.sasl_username} with the password that is "
            f"set, by {kafka.sasl_mechanism}: see kafka.sasl_username, sasl_password and sasl_mechanism",
            final=True,
        )
    except ssl.SSLCertVerificationError as error:
        return Refusal(
            f"The certificate of the broker at {address} is not trusted ({error.verify_message}): see "
            "kafka.ssl_ca_file, and whether bootstrap_servers has the name that is in the certificate",
            final=True,
        )
    except (ssl.SSLError, KafkaConnectionError):
        return Refusal(
            f"Something listens at {address}, but not for {kafka.security_protocol}: see "
            "kafka.security_protocol and, where it asks for our certificate, kafka.ssl_cert_file",
            final=False,
        )
    except (OSError, ValueError):  # TimeoutError is one: a node that is frozen or busy says nothing
        return None
    return None


async def _connect(kafka: Kafka, address: str) -> None:
    options = connection_options(kafka)
    del options["bootstrap_servers"]
    host, _, port = address.rpartition(":")
    connection = await asyncio.wait_for(
        create_conn(host, int(port), request_timeout_ms=int(PROBE_TIMEOUT_S * 1000), **options),
        PROBE_TIMEOUT_S,
    )
    connection.close()
