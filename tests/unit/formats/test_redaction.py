from __future__ import annotations

import base64
import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprov.formats.redaction import Redactor, secret_values

# Made up, and put together here so that no scanner takes this file for a leak.
KINDS = {
    "aws-key": "AKIA" + "Q3EXAMPLE7TESTKE",
    "github-token": "gh" + "p_" + "a1B2" * 9,
    "gitlab-token": "glp" + "at-" + "x9Y8z7W6v5U4t3S2r1Q0",
    "slack-token": "xox" + "b-123456789012-abcdefABCDEF",
    "google-key": "AIza" + "Sy" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "google-token": "ya29" + ".a0AfExampleExampleExample",
    "stripe-key": "sk_" + "live_" + "51ExampleExample12",
    "model-key": "sk-" + "ant-api03-ExampleExample",
    "huggingface-token": "hf" + "_" + "ExampleExampleExample12",
    "npm-token": "npm" + "_" + "a1B2c3D4" * 5,
    "pypi-token": "pypi-" + "AgEIcHlwaS5vcmc" + "x" * 40,
    "sendgrid-key": "SG." + "ExampleExample12.ExampleExampleExample",
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
    "bearer": "Bearer " + "abcdef0123456789",
    "password": 'password = "' + 'hunter2hunter2"',
    "url": "postgres://" + "user:s3cr3tpw@db.example.com/x",
    "yaml": "client_secret: " + "Zm9vYmFyYmF6",
    "json": '{"api_key": "' + 'qwertyuiop12345"}',
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_known_shape_is_taken_out_and_the_text_around_it_stays(kind: str) -> None:
    secret = KINDS[kind]
    found = Redactor().redact(f"before {secret} after")
    assert "[redacted:" in found
    assert found.startswith("before ")
    assert found.endswith(" after")
    core = secret.split("://")[-1].split("@")[0].split(":")[-1].split("=")[-1].strip(' "}')
    assert core.split()[-1] not in found


def test_a_private_key_goes_as_a_whole_also_when_its_end_is_missing() -> None:
    body = "MIIEvQ" * 10
    text = f"x\n-----BEGIN PRIVATE KEY-----\n{body}\n"
    assert body not in Redactor().redact(text)
    assert body not in Redactor().redact(text + "-----END PRIVATE KEY-----\ny")


def test_only_variables_whose_names_look_secret_give_values() -> None:
    environment = {
        "MY_API_KEY": "value-of-key",
        "DB_PASSWORD": "value-of-pw!",
        "GITHUB_TOKEN": "value-of-token",
        "PATH": "/usr/bin:/bin",
        "KEYBOARD": "qwertyuiop",
        "SSH_AUTH_SOCK": "/tmp/agent.sock",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE",
        "SHORT_TOKEN": "abc",
    }
    assert set(secret_values(environment)) == {"value-of-key", "value-of-pw!", "value-of-token"}


VALUE = "v4lue/of+the key:ünïcode"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_known_value_is_found_inside_base64_at_any_alignment(
    before: str, alphabet: object
) -> None:
    encoded = alphabet((before + VALUE + "tail").encode()).decode()  # type: ignore[operator]
    found = Redactor((VALUE,)).redact(f"x {encoded} y")
    assert "[redacted:known-value]" in found


@pytest.mark.parametrize(
    "spelled",
    [
        VALUE,
        VALUE.encode().hex(),
        json.dumps(VALUE),
        "v4lue/of+the%20key%3A%C3%BCn%C3%AFcode".replace("/", "%2F").replace("+", "%2B"),
        VALUE[:7] + "\n" + VALUE[7:],
        VALUE[:7] + "\\\n    " + VALUE[7:],
        VALUE[:7] + "\\n" + VALUE[7:],
    ],
)
def test_a_known_value_is_found_in_every_spelling(spelled: str) -> None:
    found = Redactor((VALUE,)).redact(f"<{spelled}>")
    assert found.replace('"', "") == "<[redacted:known-value]>"


@given(st.text(max_size=60), st.text(max_size=60), st.integers(min_value=0, max_value=1000))
def test_no_known_value_survives_in_any_text(before: str, after: str, seed: int) -> None:
    chance = random.Random(seed)
    value = "".join(chance.choice(string.ascii_letters + string.digits) for _ in range(20))
    assert value not in Redactor((value,)).redact(before + value + after)


def test_ordinary_text_is_left_alone() -> None:
    text = (
        "The token count was 42. def key(value): return value\n"
        "sha256:" + "ab" * 32 + " commit 9fceb02 password policy: at least 12\n"
        "https://example.com/path?page=2 for authors@example.com"
    )
    assert Redactor().redact(text) == text


def test_values_under_secret_keys_of_json_go_whatever_their_shape() -> None:
    redactor = Redactor()
    value = {"headers": {"x-api-key": "whatever it is"}, "n": [1, "plain"]}
    assert redactor.redact_value(value) == {
        "headers": {"x-api-key": "[redacted:assignment]"},
        "n": [1, "plain"],
    }
    assert redactor.counts == {"assignment": 1}


def test_the_token_of_a_session_is_a_secret_and_its_id_is_none() -> None:
    environment = {"AGENTPROV_SESSION": "s" * 36, "AGENTPROV_SESSION_TOKEN": "t" * 64}
    assert secret_values(environment) == ("t" * 64,)
