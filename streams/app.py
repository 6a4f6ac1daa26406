"""A worker: one Faust app a role, each with its own consumer group, in one process.

From here to a decision: this file, ``agents/process.py``, ``processor/processor.py``,
``processor/deciding.py``, ``models/placement.py``.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

import faust
import mode
from aiokafka.structs import ConsumerRecord
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from models.catalog import Catalog
from models.serving import ServingWeights, is_served
from schemas.model import decode_model_record
from schemas.topics import CATALOG, DEAD_LETTERS, DECISIONS, EXAMPLES, IDENTITIES, MODEL, OUTCOMES, Topic
from streams.adoption.inputs import CONTRACT, open_inputs
from streams.agents.learn import LearnJob
from streams.agents.process import ProcessJob, WaitingJob
from streams.agents.sink import SinkJob
from streams.catalog_topic import UnusableEntryError, entry_of
from streams.connection import ssl_context
from streams.delivery.broadcast import Broadcast
from streams.delivery.clients import new_producer
from streams.delivery.neighbours import Neighbours, client_id
from streams.delivery.ownership import Job, Ownership
from streams.delivery.transaction import CLOSE_TIMEOUT_S
from streams.delivery.transport import SCHEME, BatchApp
from streams.delivery.watchdog import Watchdog
from streams.processor.sites import Sites
from streams.settings import Kafka, Role, Settings
from streams.sinks.store import open_store
from streams.sinks.writer import Writer

logger = logging.getLogger(__name__)

METADATA_MAX_AGE_MS = 10_000
"""A cluster that comes up again may not name all topics yet: whoever leads the group then leaves one out
(Faust only warns) and looks again when its metadata is that old. Faust's default is five minutes."""
HEARTBEATS_A_SESSION = 5


def new_worker(settings: Settings, roles: Collection[Role], scratch_dir: str) -> faust.Worker:
    """A worker with the given roles, ready for ``execute_from_commandline``.

    ``scratch_dir`` is for Faust, which wants a directory of its own and keeps nothing in it.
    """
    services: list[mode.Service] = []
    owners: dict[str, Ownership] = {}
    apps: list[BatchApp] = []
    for role in sorted(roles):
        app = new_app(settings, role, scratch_dir)
        owner, needed = _ROLES[role](app, settings)
        apps.append(app)
        owners[app.conf.id] = owner
        services += needed
    neighbours = Neighbours(settings.kafka, {group: owner.former_members for group, owner in owners.items()})
    watchdog = Watchdog(
        lambda: max(owner.stalled_s() for owner in owners.values()), settings.processing.stall_timeout_s
    )
    worker = faust.Worker(
        apps[0],
        neighbours,
        *services,
        watchdog,
        *apps[1:],
        override_logging=False,
        quiet=True,
        redirect_stdouts=False,
    )
    worker.spinner = None
    return worker


def group_id(settings: Settings, role: Role) -> str:
    """Consumer group of a role; it is the Faust app's id too."""
    return f"{settings.kafka.group_id}-{role}"


def new_app(settings: Settings, role: Role, scratch_dir: str) -> BatchApp:
    """The Faust app of a role; what departs from Faust's defaults is reasoned in ARCHITECTURE.md."""
    kafka = settings.kafka
    return BatchApp(
        group_id(settings, role),
        broker=[f"{SCHEME}://{server}" for server in kafka.bootstrap_servers.split(",")],
        broker_client_id=client_id(role),
        broker_credentials=_credentials(kafka),
        datadir=scratch_dir,
        autodiscover=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=2,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.session_timeout_s / HEARTBEATS_A_SESSION,
        broker_rebalance_timeout=kafka.rebalance_timeout_s,
        broker_request_timeout=max(kafka.request_timeout_s, kafka.session_timeout_s),
        broker_max_poll_interval=300.0,
        broker_max_poll_records=kafka.fetch_max_records,
        producer_request_timeout=kafka.request_timeout_s,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )


def _credentials(kafka: Kafka) -> Any:
    """What ``connection_options`` says, for Faust's own consumer; None where the connection is plain."""
    context = ssl_context(kafka) if kafka.encrypted else None
    if kafka.authenticated:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password,
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _process(app: BatchApp, settings: Settings) -> tuple[Ownership, list[mode.Service]]:
    """Events to decisions, one job a partition number."""
    inputs = open_inputs(settings.adoption)
    if inputs is not CONTRACT:
        logger.warning(
            "reading %s by %s; decisions go to %s%s",
            ", ".join(topic.name for topic in inputs.read),
            settings.adoption.mapping,
            inputs.decisions,
            ", a shadow: nobody is served" if settings.adoption.shadow else "",
        )
    catalog = Catalog(settings.learning.bits)
    weights = ServingWeights("ctr", settings.learning.bits)
    sites = Sites(catalog)
    decisions = Producer(settings)

    def new_job(partition: int, tps: Collection[TP]) -> Job:
        if {tp.topic for tp in tps} == {IDENTITIES.name}:
            return WaitingJob()
        _check_whole(partition, tps, inputs.read)
        return ProcessJob(partition, settings, app.conf.id, catalog, weights, decisions.client, inputs, sites)

    owner = Ownership(
        app,
        group_of=lambda tp: tp.partition,
        new_job=new_job,
    )
    _agent(app, (*inputs.read, IDENTITIES), owner)

    def learn_catalog(record: ConsumerRecord) -> None:
        try:
            key, entry = entry_of(record)
        except UnusableEntryError as error:
            logger.error("%s; it is left out: see `headrace check`", error)
            key, entry = error.key, None
        if entry is None:
            catalog.remove(key)
        else:
            catalog.put(entry)

    def learn_weights(record: ConsumerRecord) -> None:
        if record.value is not None and is_served(record.key):
            weights.apply(decode_model_record(record.value))

    return owner, [
        decisions,
        Broadcast(settings.kafka, CATALOG.name, learn_catalog),
        Broadcast(settings.kafka, MODEL.name, learn_weights),
    ]


def _learn(app: BatchApp, settings: Settings) -> tuple[Ownership, list[mode.Service]]:
    """Examples to weights; the group lets one worker at a time have the one partition."""
    owner = Ownership(app, lambda tp: tp, lambda tp, tps: LearnJob(settings, app.conf.id))
    _agent(app, (EXAMPLES,), owner)
    return owner, []


def _sink(app: BatchApp, settings: Settings) -> tuple[Ownership, list[mode.Service]]:
    """Records to ClickHouse, one job a partition of a topic."""
    store = open_store(settings.clickhouse)

    def new_job(tp: TP, tps: Collection[TP]) -> Job:
        stop = threading.Event()
        return SinkJob(tp, settings, Writer(store, stop.wait), stop, app.consumer)

    owner = Ownership(app, lambda tp: tp, new_job)
    _agent(app, (DECISIONS, OUTCOMES, DEAD_LETTERS, MODEL), owner)
    return owner, []


_ROLES: dict[Role, Callable[[BatchApp, Settings], tuple[Ownership, list[mode.Service]]]] = {
    "process": _process,
    "learn": _learn,
    "sink": _sink,
}


def _agent(app: BatchApp, topics: Sequence[Topic], owner: Ownership) -> None:
    """One agent over the topics, whose failure ends the worker: a restart in place would skip a batch."""
    channel = app.topic(
        *(topic.name for topic in topics),
        key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False,
    )  # fmt: skip

    @app.agent(channel, name=app.conf.id, supervisor_strategy=CrashingSupervisor)
    async def agent(stream: Any) -> None:
        async for event in stream.events():
            await owner.take(event.value)


def _check_whole(partition: int, tps: Collection[TP], inputs: Sequence[Topic]) -> None:
    """Raise where a worker owns some of the input topics of a partition number, and not all of them."""
    missing = {topic.name for topic in inputs} - {tp.topic for tp in tps}
    if missing:
        raise RuntimeError(
            f"partition {partition}: expected all of the input topics, got none of {sorted(missing)}; "
            "they must have the same partition count, and every worker of the group the same version"
        )


class Producer(mode.Service):
    """The producer of decisions, shared by all partitions of a worker."""

    def __init__(self, settings: Settings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self.client: Any = None

    async def on_start(self) -> None:
        self.client = new_producer(self._settings.kafka)
        await self.client.start()

    async def on_stop(self) -> None:
        """What a broker that is away has not got yet belongs to events that will be processed again."""
        if self.client is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.client.stop(), CLOSE_TIMEOUT_S)
