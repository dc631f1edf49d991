"""Settings are checked once: an error names its variable and the reason, and never shows a value."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from processor.events.fields import HYDRATABLE
from processor.settings import NOT_SERVED, Settings, WrongSetting, read_settings, variables

secret = "pit-0c9e4a52-canary"
sasl = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "hydrant", "KAFKA_SASL_PASSWORD": secret}


def refused(environ: dict[str, str]) -> list[str]:
    with pytest.raises(WrongSetting) as raised:
        read_settings(environ)
    return raised.value.messages


def test_defaults_are_as_documented() -> None:
    """DESIGN §4; the log format depends on the terminal."""
    defaults = read_settings({}).model_dump(exclude={"hydrant_log_format"})

    assert {
        "kafka_bootstrap_servers": "localhost:9092",
        "kafka_security_protocol": "PLAINTEXT",
        "kafka_sasl_mechanism": "PLAIN",
        "kafka_sasl_username": None,
        "kafka_sasl_password": None,
        "kafka_ssl_cafile": None,
        "kafka_ssl_certfile": None,
        "kafka_ssl_keyfile": None,
        "kafka_ssl_password": None,
        "kafka_topic_prefix": "",
        "kafka_group_id": "hydrant",
        "kafka_group_instance_id": None,
        "ghl_base_url": "https://services.leadconnectorhq.com",
        "ghl_token": None,
        "ghl_tokens_file": None,
        "ghl_requests_per_10s": 90,
        "ghl_requests_per_day": 200_000,
        "ghl_daily_reserve": 0.1,
        "sync_all_concurrency": 15,
        "hydrant_probe_size": 50,
        "hydrant_state_dir": Path("./state"),
        "hydrant_fetch_fields": {"first_name", "last_name"},
        "hydrant_rules_file": None,
        "hydrant_http_port": 8080,
        "hydrant_gateway_port": 8081,
        "ghl_webhook_public_key": None,
        "hydrant_console_port": 8082,
        "hydrant_console_token": None,
        "hydrant_log_level": "info",
    } == defaults


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "a:9092, b.example-1:9093,[::1]:9094", "a:9092,b.example-1:9093,[::1]:9094"),
        ("KAFKA_TOPIC_PREFIX", "staging.", "staging."),
        ("KAFKA_GROUP_ID", "hydrant-2", "hydrant-2"),
        ("KAFKA_GROUP_INSTANCE_ID", "worker-1", "worker-1"),
        ("GHL_BASE_URL", "http://localhost:9000/ghl/", "http://localhost:9000/ghl"),
        ("GHL_TOKENS_FILE", "tokens.toml", Path("tokens.toml")),
        ("GHL_REQUESTS_PER_10S", "22", 22),
        ("GHL_REQUESTS_PER_10S", "100", 100),
        ("HYDRANT_PROBE_SIZE", "1", 1),
        ("HYDRANT_STATE_DIR", "/var/lib/hydrant", Path("/var/lib/hydrant")),
        ("HYDRANT_FETCH_FIELDS", "", frozenset()),
        ("HYDRANT_FETCH_FIELDS", "timezone, company_name,timezone,", frozenset({"timezone", "company_name"})),
        ("HYDRANT_HTTP_PORT", "0", 0),
        ("HYDRANT_HTTP_PORT", "", 8080),
        ("HYDRANT_LOG_FORMAT", "json", "json"),
        ("HYDRANT_LOG_LEVEL", "DEBUG", "debug"),
    ],
)
def test_a_variable_is_read(variable: str, value: str, expected: object) -> None:
    assert expected == getattr(read_settings({variable: value}), variable.lower())


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost", "should be host:port, or several of them with commas between"),
        ("KAFKA_TOPIC_PREFIX", "a/b", "should match pattern '^[a-zA-Z0-9._-]{0,200}$'"),
        ("KAFKA_GROUP_INSTANCE_ID", "a b", "should match pattern '^[a-zA-Z0-9._-]{1,200}$'"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "should be 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI", "should be 'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
        ("GHL_BASE_URL", "localhost:9000", "should be an http:// or https:// address without query and fragment"),
        (
            "GHL_BASE_URL",
            f"https://u:{secret}@example.com",
            "should hold no user name or password: the token goes into GHL_TOKEN or GHL_TOKENS_FILE",
        ),
        ("GHL_TOKEN", f"{secret} \n", "should be printable ASCII without spaces or line ends"),
        ("GHL_REQUESTS_PER_10S", "0", "should be greater than or equal to 1"),
        ("GHL_REQUESTS_PER_10S", "101", "should be less than or equal to 100"),
        ("GHL_REQUESTS_PER_10S", "many", "should be a valid integer, unable to parse string as an integer"),
        ("HYDRANT_PROBE_SIZE", "0", "should be greater than or equal to 1"),
        ("HYDRANT_PROBE_SIZE", "101", "should be less than or equal to 100"),
        (
            "HYDRANT_FETCH_FIELDS",
            "first_name,shoe",
            f"should be a comma list of hydratable fields: {', '.join(HYDRATABLE)}",
        ),
        ("HYDRANT_HTTP_PORT", "65536", "should be less than or equal to 65535"),
        ("HYDRANT_HTTP_PORT", "8080.5", "should be a valid integer, unable to parse string as an integer"),
        ("HYDRANT_LOG_FORMAT", "xml", "should be 'console' or 'json'"),
        ("HYDRANT_LOG_LEVEL", "loud", "should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(variable: str, value: str, reason: str) -> None:
    assert [f"{variable}: {reason}"] == refused({variable: value})


def test_all_errors_are_reported_at_once() -> None:
    assert ["GHL_REQUESTS_PER_10S", "HYDRANT_PROBE_SIZE", "HYDRANT_RULES_FILE", "HYDRANT_HTTP_PROT"] == [
        message.partition(":")[0]
        for message in refused(
            {
                "GHL_REQUESTS_PER_10S": "x",
                "HYDRANT_PROBE_SIZE": "x",
                "HYDRANT_HTTP_PROT": "1",
                "HYDRANT_RULES_FILE": "rules.toml",
            }
        )
    ]


@pytest.mark.parametrize("variable", variables)
@pytest.mark.parametrize("value", [secret, f"{secret}\n", f"https://{secret}@{secret}/?{secret}#{secret}"])
def test_no_value_is_ever_shown(variable: str, value: str) -> None:
    """Valid or refused, not even a token pasted into the wrong variable."""
    shown = ""
    try:
        settings = read_settings({**sasl, variable: value})
        shown += repr({name: value for name, value in settings.model_dump().items() if name.upper() in secrets})
    except WrongSetting as wrong:
        shown += f"{wrong!r} {wrong} {wrong.messages} {wrong.__cause__!r}"

    assert secret not in shown


secrets = {"GHL_TOKEN", "HYDRANT_CONSOLE_TOKEN", "KAFKA_SASL_PASSWORD", "KAFKA_SSL_PASSWORD"}


def test_secrets_do_not_show_themselves() -> None:
    given = Settings.model_validate(dict.fromkeys(secrets, secret))

    assert secret not in f"{given!r} {given} {given.model_dump()} {given.model_dump_json()}"
    assert secret == given.ghl_token.get_secret_value() if given.ghl_token else None


@pytest.mark.parametrize("variable", sorted(NOT_SERVED))
def test_a_variable_that_is_not_served_is_refused(variable: str) -> None:
    """It is never ignored, not even with a valid value."""
    assert [f"{variable}: not served by this version: {NOT_SERVED[variable]}"] == refused({variable: "1"})
    assert variable in variables


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("HYDRANT_FETCH_FEILDS", "HYDRANT_FETCH_FEILDS: there is no such setting; did you mean HYDRANT_FETCH_FIELDS?"),
        ("GHL_TOKENS", "GHL_TOKENS: there is no such setting; did you mean GHL_TOKEN?"),
        ("GHL_ZZZZ", "GHL_ZZZZ: there is no such setting"),
        ("KAFKA_SSL_CA_FILE", "KAFKA_SSL_CA_FILE: there is no such setting; did you mean KAFKA_SSL_CAFILE?"),
    ],
)
def test_a_misspelt_variable_is_refused(variable: str, message: str) -> None:
    assert [message] == refused({variable: "1"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
        ("PATH", "/bin"),
        ("hydrant_http_port", "x"),
        ("HYDRANT_PORT", "tcp://10.0.0.1:8080"),
        ("HYDRANT_SERVICE_HOST", "10.0.0.1"),
        ("HYDRANT_SERVICE_PORT_METRICS", "8080"),
        ("HYDRANT_METRICS_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_other_variables_are_left_alone(variable: str, value: str) -> None:
    """Kubernetes describes a service called "hydrant" by variables that look like ours."""
    assert read_settings({}) == read_settings({variable: value})


@pytest.mark.parametrize(
    ("environ", "messages"),
    [
        ({"GHL_TOKEN": secret, "GHL_TOKENS_FILE": "t"}, ["GHL_TOKEN: set beside GHL_TOKENS_FILE; one of them must go"]),
        (
            {"KAFKA_SASL_USERNAME": "u", "KAFKA_SSL_CAFILE": "ca.pem"},
            [
                "KAFKA_SASL_USERNAME: has no effect with KAFKA_SECURITY_PROTOCOL PLAINTEXT",
                "KAFKA_SSL_CAFILE: has no effect with KAFKA_SECURITY_PROTOCOL PLAINTEXT",
            ],
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "u"},
            ["KAFKA_SASL_PASSWORD: needed with KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT"],
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEYFILE": "key.pem"},
            ["KAFKA_SSL_KEYFILE: has no effect without KAFKA_SSL_CERTFILE"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], messages: list[str]) -> None:
    assert messages == refused(environ)


def test_the_model_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_settings({}).kafka_group_id = "other"  # type: ignore[misc]  # the mistake under test


def test_only_the_given_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRANT_PROBE_SIZE", "7")

    assert 50 == read_settings({}).hydrant_probe_size


@pytest.mark.parametrize(("terminal", "expected"), [(True, "console"), (False, "json")])
def test_logs_are_for_people_on_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool, expected: str) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)

    assert expected == read_settings({}).hydrant_log_format


def test_a_worker_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="GHL_TOKEN: a worker needs it, or GHL_TOKENS_FILE"):
        read_settings({}).require_token()
    with pytest.raises(WrongSetting, match="GHL_TOKENS_FILE: there is no such file"):
        read_settings({"GHL_TOKENS_FILE": str(tmp_path / "tokens.toml")}).require_token()

    (tmp_path / "tokens.toml").touch()
    read_settings({"GHL_TOKENS_FILE": str(tmp_path / "tokens.toml")}).require_token()
    read_settings({"GHL_TOKEN": secret}).require_token()


def test_kafka_in_the_clear() -> None:
    assert {
        "bootstrap": "localhost:9092",
        "security": {"security_protocol": "PLAINTEXT"},
        "prefix": "staging.",
        "group_id": "hydrant",
        "group_instance_id": "w1",
    } == read_settings({"KAFKA_TOPIC_PREFIX": "staging.", "KAFKA_GROUP_INSTANCE_ID": "w1"}).kafka()


def test_kafka_with_a_password() -> None:
    security = dict(read_settings(sasl | {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}).kafka()["security"])

    assert security.pop("ssl_context") is not None
    assert {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "hydrant",
        "sasl_plain_password": secret,
    } == security


def test_certificate_files_are_checked(tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text(secret)
    tls = {"KAFKA_SECURITY_PROTOCOL": "SSL"}
    own = "KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE, KAFKA_SSL_PASSWORD"
    for given, message in (
        ({"KAFKA_SSL_CAFILE": "missing.pem"}, "KAFKA_SSL_CAFILE: there is no such file"),
        ({"KAFKA_SSL_CAFILE": str(junk)}, "KAFKA_SSL_CAFILE: no certificates in PEM form"),
        ({"KAFKA_SSL_CERTFILE": "missing.pem"}, f"{own}: there is no such file"),
        ({"KAFKA_SSL_CERTFILE": str(junk)}, f"{own}: not a PEM certificate with its key and password"),
    ):
        with pytest.raises(WrongSetting) as raised:
            read_settings(tls | given).kafka()
        assert [message] == raised.value.messages
