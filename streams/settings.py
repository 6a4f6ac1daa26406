"""Every setting of Headrace: declared here, read here, checked here, once at start.

A value comes from, later wins: the default, the TOML file (``--config`` or ``HEADRACE_CONFIG``), the
environment (``HEADRACE_<SECTION>_<NAME>``), the command line. What cannot be used raises
``SettingsError`` with the setting's name, its value and what was expected.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

Role = Literal["process", "learn", "sink"]
WhenAbsent = Literal["all", "profile", "none"]
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Secret = Annotated[str, Meta(extra={"secret": True})]
"""Text that is never shown."""

ENVIRONMENT_PREFIX = "HEADRACE_"
SECRET_SHOWN = "***"


class SettingsError(ValueError):
    """A setting is unknown, or its value cannot be used."""


class Kafka(Struct, frozen=True, forbid_unknown_fields=True):
    """The broker and the topics."""

    bootstrap_servers: Annotated[str, Meta(min_length=1)] = "127.0.0.1:9092"
    """Comma-separated ``host:port``."""
    group_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+$")] = "headrace"
    """Prefix of the consumer groups and transactional ids."""
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 8
    """Partitions of every per-user topic that `init` creates."""
    replication_factor: Annotated[int, Meta(ge=1, le=15)] = 1
    session_timeout_s: Seconds = 10.0
    """A worker that is silent this long loses its partitions."""
    rebalance_timeout_s: Seconds = 30.0
    request_timeout_s: Seconds = 30.0
    fetch_max_records: Count = 2000
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether the connection is encrypted (SSL) and who we are is proved by a password (SASL)."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: Secret = ""
    ssl_ca_file: str = ""
    """PEM file of the authority that signed the brokers' certificates; empty means those of the system."""
    ssl_cert_file: str = ""
    """PEM file of our certificate, where brokers ask for one; empty means none."""
    ssl_key_file: str = ""
    """PEM file of its key; empty means that the certificate's file has it."""
    ssl_key_password: Secret = ""
    ssl_check_hostname: bool = True
    """Whether a broker's certificate must name the host that it was reached by."""

    @property
    def encrypted(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def authenticated(self) -> bool:
        """Whether a connection begins with user and password."""
        return self.security_protocol.startswith("SASL_")


class Processing(Struct, frozen=True, forbid_unknown_fields=True):
    """Windows and intervals of the processor, in event time unless said otherwise."""

    checkpoint_interval_s: Seconds = 1.0
    """Wall time between two transactions of a partition."""
    max_uncommitted: Count = 100_000
    """Outcomes and examples of a partition that may wait for a transaction: then processing waits, too."""
    tick_interval_s: Seconds = 1.0
    """Wall time after which an idle partition's stream time moves on."""
    lateness_s: Seconds = 600.0
    """How much later than its time an event may come and still join."""
    max_ahead_s: Seconds = 600.0
    """How far an event's time may lie ahead of the broker's; more is a dead letter."""
    duplicate_horizon_s: Seconds = 3600.0
    """How long an ``event_id`` is remembered, counted from the event's time."""
    request_window_s: Seconds = 1800.0
    """How long after a decision its exposure may come."""
    click_window_s: Seconds = 1800.0
    """How long after an exposure a click counts; then the exposure is a negative example."""
    attribution_window_s: Seconds = 7 * 86400.0
    """How long after a click an order is attributed to it (last click)."""
    order_lateness_s: Seconds = 3 * 86400.0
    """How much later than its time an order may come and still find the click that earned it."""
    refund_window_s: Seconds = 30 * 86400.0
    """How long after an order that a click earned its refunds are taken back from the click."""
    stall_timeout_s: Seconds = 120.0
    """Wall time without progress on work that is there, after which the worker gives up."""


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """Row caps of one partition (what overflows is counted and the oldest row makes room); its changelog."""

    max_profiles: Count = 1_000_000
    profile_ttl_s: Annotated[float, Meta(ge=0)] = 400 * 86400.0
    """How long a profile is kept after its newest event, to the day; 0 is for ever."""
    max_requests: Count = 200_000
    max_exposures: Count = 500_000
    max_clicks: Count = 200_000
    max_purchases: Count = 100_000
    max_refunds: Count = 100_000
    max_links: Count = 100_000
    max_clickers: Count = 100_000
    """Users who have clicked ads or promotions lately, one row each for every half of `validity.window_s`."""
    max_repeats: Count = 100_000
    """Clicks on what the user has clicked before."""
    max_event_ids: Count = 5_000_000
    write_version: Annotated[int, Meta(ge=1, le=3)] = 3
    """Version of the rows that are written: an older one until every worker runs the new release."""


class Learning(Struct, frozen=True, forbid_unknown_fields=True):
    """FTRL-Proximal and its standing challenger."""

    bits: Annotated[int, Meta(ge=8, le=26)] = 18
    """Weights are hashed to ``2**bits`` buckets."""
    alpha: Annotated[float, Meta(gt=0)] = 0.05
    beta: Annotated[float, Meta(ge=0)] = 1.0
    l1: Annotated[float, Meta(ge=0)] = 0.0
    l2: Annotated[float, Meta(ge=0)] = 1.0
    publish_interval_s: Seconds = 1.0
    """Wall time between two versions of the weights."""
    snapshot_every: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Deltas between two snapshots."""
    negative_sample: Annotated[float, Meta(ge=0.001, le=1)] = 1.0
    """Share of the exposures without a click that are learned, each with the weight 1 / share."""
    challenger_sample: Share = 0.05
    """Share of the examples that River's challenger sees, drawn by the example's identity."""
    challengers: Annotated[int, Meta(ge=0, le=7)] = 3
    """Learners beside the champion of each task, with other alpha, l1 and l2; one that is better serves."""


class Gate(Struct, frozen=True, forbid_unknown_fields=True):
    """What the gate before learning closes on, for each task and source (own, foreign) apart."""

    unusable_share: Annotated[float, Meta(ge=0.001, le=1)] = 0.05
    """It closes when more than this share of about 500 examples have an unusable weight; 1 is never."""
    missing_share: Annotated[float, Meta(ge=0.2, le=1)] = 0.5
    """It closes when more than this share lack a value that four of five usually have; 1 is never."""
    distinct_factor: Annotated[float, Meta(ge=1)] = 3.0
    """It closes when a field has more than this times its usual number of distinct values in 100 examples,
    and more than `gate.distinct_share`."""
    distinct_share: Share = 0.6
    """Distinct values of a field by the examples: so many are no reason to close."""
    high_rate_factor: Annotated[float, Meta(ge=1)] = 3.0
    """It closes when labels are positive more than this times as often as usual, over about 500 examples, and
    that is no chance."""
    low_rate_factor: Annotated[float, Meta(ge=1)] = 5.0
    """The same for labels that are positive less often, by this factor, over about 10,000 examples."""
    patience_s: Seconds = 86400.0
    """Event time after which what is unusual, not unusable, becomes the usual and is learned."""


class Validity(Struct, frozen=True, forbid_unknown_fields=True):
    """Rules for invalid traffic, in event time; they rest while `state.write_version` is below 3."""

    min_click_delay_ms: Annotated[int, Meta(ge=0)] = 100
    """A click sooner after its exposure is nobody's: no sprinter starts within 100 ms of the gun."""
    clock_tolerance_ms: Annotated[int, Meta(ge=0)] = 1000
    """A click that is longer before its exposure is invalid, not only without effect."""
    max_clicks: Annotated[int, Meta(ge=0)] = 10
    """Clicks on ads and promotions that one user may make inside the window; with one more all of them are
    invalid; 0 turns the rule off."""
    window_s: Seconds = 10.0
    """Windows begin every half of it."""
    require_page_view: bool = False
    """Whether clicks of users who have viewed no page are invalid; logs without page views need false."""


class Deciding(Struct, frozen=True, forbid_unknown_fields=True):
    """Policies of placement and promotion."""

    temperature: Annotated[float, Meta(gt=0)] = 0.25
    """Of the softmax, in units of the best candidate's eCPM."""
    floor: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """Share of probability that is spread evenly over the shortlist."""
    calibrated: bool = True
    """Whether click probabilities are bent to the rate at which clicks come, by slot."""
    shortlist: Annotated[int, Meta(ge=1, le=1024)] = 128
    """Candidates that compete; the rest have propensity 0."""
    holdout_share: Share = 0.05
    """Share of users who never get a promotion, for ever the same."""
    salt: str = "headrace"
    """Seeds the holdout and the draws; change it to draw anew."""


class Consent(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be done with events whose `consent` says nothing."""

    when_absent: WhenAbsent = "all"
    """What the user of an event without `consent` has agreed to: `profile` is all but personalisation."""


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """Logins, which link who was anonymous to who is known."""

    reclaim_after_s: Seconds = 1800.0
    """How long after a login (event time) the user's next event with an ``anonymous_id`` asks again for what
    has come under that since."""


class ClickHouse(Struct, frozen=True, forbid_unknown_fields=True):
    """Where decisions and outcomes are kept for analysts."""

    host: str = ""
    """A ClickHouse server's host, native protocol; empty means the embedded engine."""
    port: Annotated[int, Meta(ge=1, le=65535)] = 9000
    user: str = "default"
    password: Secret = ""
    database: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "headrace"
    secure: bool = False
    engine_url: str = ""
    """The embedded engine's address, where no ``host`` is set; `headrace demo` sets it."""
    insert_rows: Count = 20_000
    """Rows of one insert, at most."""
    insert_interval_s: Seconds = 1.0


class Embedded(Struct, frozen=True, forbid_unknown_fields=True):
    """The broker and the engine that Headrace starts by itself, for trying out and for tests."""

    data_dir: str = "data"
    """Where they and fetched data sets keep their files."""


class Adoption(Struct, frozen=True, forbid_unknown_fields=True):
    """Another system's topics in place of `views`, `clicks` and `purchases`."""

    mapping: str = ""
    """TOML file that says what their records become; empty means that producers speak the contract."""
    shadow: bool = True
    """With a mapping, decisions go to `shadow_topic`, and nobody is served, until this is false."""
    shadow_topic: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")] = "decisions-shadow"


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings, by section."""

    kafka: Kafka = field(default_factory=Kafka)
    processing: Processing = field(default_factory=Processing)
    state: State = field(default_factory=State)
    validity: Validity = field(default_factory=Validity)
    learning: Learning = field(default_factory=Learning)
    gate: Gate = field(default_factory=Gate)
    deciding: Deciding = field(default_factory=Deciding)
    consent: Consent = field(default_factory=Consent)
    identity: Identity = field(default_factory=Identity)
    clickhouse: ClickHouse = field(default_factory=ClickHouse)
    embedded: Embedded = field(default_factory=Embedded)
    adoption: Adoption = field(default_factory=Adoption)


SECTIONS: dict[str, type[Struct]] = {f.name: f.type for f in msgspec.structs.fields(Settings)}

Sources = Mapping[str, str]
"""Where a setting (``section.name``) comes from, in words; one that has its default is not in it."""


def load(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from file, environment and command line; ``overrides`` maps ``section.name`` to text.

    >>> load(environment={"HEADRACE_KAFKA_PARTITIONS": "4"}).kafka.partitions
    4
    >>> load(environment={}, overrides={"kafka.partitions": "x"})
    Traceback (most recent call last):
    ...
    streams.settings.SettingsError: kafka.partitions = 'x' (from the command line): Expected `int`, got `str`
    """
    return load_with_sources(path, environment, overrides)[0]


def load_with_sources(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> tuple[Settings, Sources]:
    """As ``load``, and where each setting comes from.

    >>> load_with_sources(environment={}, overrides={"kafka.partitions": "4"})[1]
    {'kafka.partitions': 'the command line'}
    """
    environment = os.environ if environment is None else environment
    if path is None and environment.get(ENVIRONMENT_PREFIX + "CONFIG"):
        path = Path(environment[ENVIRONMENT_PREFIX + "CONFIG"])
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    sources: dict[str, str] = {}

    def put(name: str, value: Any, source: str) -> None:
        section, _, key = name.partition(".")
        known = SECTIONS.get(section)
        if known is None or key not in known.__struct_fields__:
            raise SettingsError(f"{name} = {value!r} (from {source}): there is no such setting")
        values[section][key] = value
        sources[name] = source

    if path is not None:
        for name, value in _read_file(path):
            put(name, value, str(path))
    for variable, value in environment.items():
        setting = variable_to_name(variable)
        if setting:
            put(setting, value, f"environment variable {variable}")
    for name, value in (overrides or {}).items():
        put(name, value, "the command line")

    built: dict[str, Any] = {}
    for section, struct in SECTIONS.items():
        for key, value in values[section].items():
            try:
                msgspec.convert({key: value}, struct, strict=False)
            except msgspec.ValidationError as error:
                shown = SECRET_SHOWN if is_secret(f"{section}.{key}") else repr(value)
                expected = str(error).partition(" - at ")[0]
                where = sources[f"{section}.{key}"]
                raise SettingsError(f"{section}.{key} = {shown} (from {where}): {expected}") from None
        built[section] = msgspec.convert(values[section], struct, strict=False)
    settings = Settings(**built)
    _check_security(settings.kafka)
    return settings, sources


def _check_security(kafka: Kafka) -> None:
    """Settings of the connection that need each other are there together, and their files exist."""
    protocol = f"kafka.security_protocol is {kafka.security_protocol}"
    if kafka.authenticated and not (kafka.sasl_username and kafka.sasl_password):
        raise SettingsError(f"{protocol}: expected kafka.sasl_username and kafka.sasl_password, got not both")
    if kafka.sasl_username and not kafka.authenticated:
        raise SettingsError(
            f"{protocol}: expected SASL_SSL or SASL_PLAINTEXT where kafka.sasl_username is set"
        )
    for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"):
        file = getattr(kafka, name)
        if file and not kafka.encrypted:
            raise SettingsError(f"{protocol}: expected SSL or SASL_SSL where kafka.{name} is set")
        if file and not Path(file).is_file():
            raise SettingsError(f"kafka.{name} = {file!r}: expected a file that can be read")


def is_secret(name: str) -> bool:
    """Whether a setting's value must not be shown.

    >>> is_secret("clickhouse.password")
    True
    """
    section, _, key = name.partition(".")
    return bool(get_type_hints(SECTIONS[section], include_extras=True)[key] == Secret)


def variable_to_name(variable: str) -> str | None:
    """``HEADRACE_KAFKA_GROUP_ID`` -> ``kafka.group_id``; None if it is no setting's variable.

    >>> variable_to_name("HEADRACE_KAFKA_GROUP_ID")
    'kafka.group_id'
    """
    if not variable.startswith(ENVIRONMENT_PREFIX) or variable == ENVIRONMENT_PREFIX + "CONFIG":
        return None
    section, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
    return f"{section}.{key}"


def name_to_variable(name: str) -> str:
    """``kafka.group_id`` -> ``HEADRACE_KAFKA_GROUP_ID``."""
    return ENVIRONMENT_PREFIX + name.replace(".", "_").upper()


def child_environment(settings: Settings) -> dict[str, str]:
    """Our environment, changed so that a ``headrace`` run in it has exactly these settings.

    >>> child_environment(load(environment={}))["HEADRACE_KAFKA_PARTITIONS"]
    '8'
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)
    }
    for section in SECTIONS:
        for key, value in msgspec.structs.asdict(getattr(settings, section)).items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            environment[name_to_variable(f"{section}.{key}")] = text
    return environment


def _read_file(path: Path) -> list[tuple[str, Any]]:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"settings file {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"settings file {path}: {error}") from None
    flat = []
    for section, values in document.items():
        if not isinstance(values, dict):
            raise SettingsError(f"{section} = {values!r} (from {path}): expected a [{section}] table")
        flat += [(f"{section}.{key}", value) for key, value in values.items()]
    return flat
