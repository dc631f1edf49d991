"""Read every setting once from the environment into one frozen model (DESIGN §4). A field is its variable, lower case.

All errors are reported at once. Each names the variable and the reason, never a value. A variable without effect is
refused rather than ignored: a misspelt one, or one of a part that this version doesn't serve.
"""

import re
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal, TypedDict

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from processor.events.fields import HYDRATABLE

NOT_SERVED: Final[Mapping[str, str]] = {  # variables that nothing reads yet → what to do meanwhile
    "GHL_WEBHOOK_PUBLIC_KEY": "unset it; there is no webhook gateway",
    "HYDRANT_CONSOLE_PORT": "unset it; there is no console, `hydrant status` shows the locations",
    "HYDRANT_CONSOLE_TOKEN": "unset it; there is no console, `hydrant status` shows the locations",
    "HYDRANT_GATEWAY_PORT": "unset it; there is no webhook gateway",
    "HYDRANT_RULES_FILE": "unset it; contacts are never created or written back",
}


class WrongSetting(Exception):
    """Stop the start-up (exit 2). Each message names its variable and the reason."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = list(messages)


class KafkaSettings(TypedDict):
    """KafkaConfig takes these arguments. `security` holds aiokafka's keyword arguments."""

    bootstrap: str
    security: Mapping[str, object]
    prefix: str
    group_id: str
    group_instance_id: str | None


def _servers(value: str) -> str:
    if not all(re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}", server.strip()) for server in value.split(",")):
        raise ValueError("should be host:port, or several of them with commas between")
    return ",".join(server.strip() for server in value.split(","))


def _address(value: str) -> str:
    if "@" in value:
        raise ValueError("should hold no user name or password: the token goes into GHL_TOKEN or GHL_TOKENS_FILE")
    if not re.fullmatch(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(/[\w./~-]*)?", value, re.ASCII):
        raise ValueError("should be an http:// or https:// address without query and fragment")
    return value.rstrip("/")


def _token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise ValueError("should be printable ASCII without spaces or line ends")
    return value


def _fields(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = frozenset(name.strip() for name in value.split(",")) - {""}
    if not names <= set(HYDRATABLE):
        raise ValueError(f"should be a comma list of hydratable fields: {', '.join(HYDRATABLE)}")
    return names


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _log_format() -> Literal["console", "json"]:
    return "console" if sys.stderr.isatty() else "json"  # logs go to standard error


Port = Annotated[int, Field(ge=0, le=65_535)]  # 0: any free one
KafkaName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,200}$")]
ApiToken = Annotated[SecretStr, AfterValidator(_token)]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, hide_input_in_errors=True, extra="forbid", alias_generator=str.upper, populate_by_name=True
    )

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_servers)] = "localhost:9092"
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    kafka_ssl_password: SecretStr | None = None  # of the key file
    kafka_topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{0,200}$")] = ""
    kafka_group_id: KafkaName = "hydrant"
    kafka_group_instance_id: KafkaName | None = None  # static membership
    ghl_base_url: Annotated[str, AfterValidator(_address)] = "https://services.leadconnectorhq.com"
    ghl_token: ApiToken | None = None
    ghl_tokens_file: Path | None = None
    ghl_requests_per_10s: Annotated[int, Field(ge=1, le=100)] = 90
    ghl_requests_per_day: Annotated[int, Field(ge=1)] = 200_000
    ghl_daily_reserve: Annotated[float, Field(ge=0, le=1)] = 0.1  # share of the day that jobs and backfills may not use
    sync_all_concurrency: Annotated[int, Field(ge=1, le=20)] = 15  # ≤ 20 calls of a location are in flight
    hydrant_probe_size: Annotated[int, Field(ge=1, le=100)] = 50  # e-mails in one search
    hydrant_state_dir: Path = Path("state")
    hydrant_fetch_fields: Annotated[frozenset[str], BeforeValidator(_fields)] = frozenset({"first_name", "last_name"})
    hydrant_rules_file: Path | None = None
    hydrant_http_port: Port = 8080
    hydrant_gateway_port: Port = 8081
    ghl_webhook_public_key: str | None = None  # PEM or file; none: HighLevel's
    hydrant_console_port: Port = 8082
    hydrant_console_token: ApiToken | None = None
    hydrant_log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = Field(
        default_factory=_log_format
    )
    hydrant_log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"

    def require_token(self) -> None:
        """Raise WrongSetting if no token is set. A worker needs one; a command that only uses Kafka doesn't."""
        if self.ghl_token is None and self.ghl_tokens_file is None:
            raise WrongSetting(["GHL_TOKEN: a worker needs it, or GHL_TOKENS_FILE"])
        if self.ghl_tokens_file is not None and not self.ghl_tokens_file.is_file():
            raise WrongSetting(["GHL_TOKENS_FILE: there is no such file"])

    def kafka(self) -> KafkaSettings:
        """Return how to reach Kafka. Read the certificate files, and raise WrongSetting if they can't be used."""
        security: dict[str, object] = {"security_protocol": self.kafka_security_protocol}
        if self.kafka_security_protocol.endswith("SSL"):
            security["ssl_context"] = self._ssl_context()
        if self.kafka_security_protocol.startswith("SASL"):
            security["sasl_mechanism"] = self.kafka_sasl_mechanism
            security["sasl_plain_username"] = self.kafka_sasl_username
            security["sasl_plain_password"] = self.kafka_sasl_password and self.kafka_sasl_password.get_secret_value()
        return KafkaSettings(
            bootstrap=self.kafka_bootstrap_servers,
            security=security,
            prefix=self.kafka_topic_prefix,
            group_id=self.kafka_group_id,
            group_instance_id=self.kafka_group_instance_id,
        )

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
        except OSError as error:  # ssl.SSLError is one
            raise WrongSetting([f"KAFKA_SSL_CAFILE: {_file_problem(error, 'no certificates in PEM form')}"]) from None
        if self.kafka_ssl_certfile is not None:
            password = self.kafka_ssl_password or SecretStr("")  # with none, OpenSSL would ask the terminal
            try:
                context.load_cert_chain(self.kafka_ssl_certfile, self.kafka_ssl_keyfile, password.get_secret_value())
            except (OSError, ValueError) as error:
                problem = _file_problem(error, "not a PEM certificate with its key and password")
                raise WrongSetting([f"KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE, KAFKA_SSL_PASSWORD: {problem}"]) from None
        return context


variables: Final = tuple(name.upper() for name in Settings.model_fields)
_own_names: Final = re.compile("HYDRANT_|GHL_|KAFKA_SASL_|KAFKA_SSL_")  # a variable with such a name may not be ignored
_service_link: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the checked settings; an empty value counts as not set. Raise WrongSetting with every error."""
    empty_has_meaning = ("HYDRANT_FETCH_FIELDS",)
    given = {name: value for name, value in environ.items() if value or name in empty_has_meaning}
    refused = [
        f"{name}: not served by this version: {NOT_SERVED[name]}" for name in sorted(NOT_SERVED) if name in given
    ]
    refused += _unknown(given)
    taken = {name: given[name] for name in variables if name in given and name not in NOT_SERVED}
    try:
        settings = Settings.model_validate(taken)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        raise WrongSetting(
            [*(f"{detail['loc'][0]}: {_reason(detail['msg'])}" for detail in details), *refused]
        ) from None
    if wrong := [*_conflicts(settings, given), *refused]:
        raise WrongSetting(wrong)
    return settings


def _unknown(given: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(set(given).difference(variables)):
        # Kubernetes describes each service of the namespace by variables, even of one called "hydrant"
        if _own_names.match(name) and not _service_link.fullmatch(name) and not given[name].startswith("tcp://"):
            close = get_close_matches(name, variables, n=1)
            yield f"{name}: there is no such setting" + (f"; did you mean {close[0]}?" if close else "")


def _conflicts(settings: Settings, given: Mapping[str, str]) -> Iterator[str]:
    protocol = settings.kafka_security_protocol
    sasl, tls = protocol.startswith("SASL"), protocol.endswith("SSL")
    if settings.ghl_token is not None and settings.ghl_tokens_file is not None:
        yield "GHL_TOKEN: set beside GHL_TOKENS_FILE; one of them must go"
    for prefix, serves in (("KAFKA_SASL_", sasl), ("KAFKA_SSL_", tls)):
        for name in variables:
            if name.startswith(prefix) and name in given and not serves:
                yield f"{name}: has no effect with KAFKA_SECURITY_PROTOCOL {protocol}"
    for name in ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"):
        if sasl and name not in given:
            yield f"{name}: needed with KAFKA_SECURITY_PROTOCOL {protocol}"
    for name in ("KAFKA_SSL_KEYFILE", "KAFKA_SSL_PASSWORD"):
        if tls and name in given and settings.kafka_ssl_certfile is None:
            yield f"{name}: has no effect without KAFKA_SSL_CERTFILE"


def _reason(message: str) -> str:
    """Return pydantic's message without its subject: the variable is named already."""
    message = message.removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
    return message[:1].lower() + message[1:]


def _file_problem(error: Exception, otherwise: str) -> str:
    return "there is no such file" if isinstance(error, FileNotFoundError) else otherwise
