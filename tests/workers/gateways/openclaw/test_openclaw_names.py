"""A run has a name of its own before it is sent, and the device signs what the gateway checks."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from workers.gateways.openclaw import RunRef, run_ref
from workers.gateways.openclaw.device import ClientIdentity, Device

NAMES = st.text(min_size=0, max_size=64)
PARTS = st.tuples(NAMES, NAMES, NAMES, NAMES, st.integers(1, 10))


def name(parts: tuple[str, str, str, str, int]) -> RunRef:
    deployment, execution, node, path, attempt = parts
    return run_ref(
        deployment_id=deployment,
        agent_id="flow",
        execution_id=execution,
        node_id=node,
        path=path,
        attempt=attempt,
    )


def test_plain_parts_stay_readable() -> None:
    ref = name(("prod", "1f0c", "node-1", "3.0", 2))
    assert ref.key == "af:prod:1f0c:node-1:3.0:2"
    assert ref.session_key == "agent:flow:agentforge:prod:1f0c:node-1:3.0:2"
    assert ref.boot_id is None


@given(PARTS, PARTS)
def test_different_attempts_never_share_a_name_even_in_another_case(
    one: tuple[str, str, str, str, int], two: tuple[str, str, str, str, int]
) -> None:
    assert (name(one) == name(two)) is (one == two)
    assert (name(one).session_key.lower() == name(two).session_key.lower()) is (one == two)


def test_case_and_separators_in_node_ids_distinguish_runs() -> None:
    nodes = [("a", "1:2"), ("a:1", "2"), ("A", "1:2"), ("a:1:2", "")]
    refs = [name(("d", "e", node, path, 1)) for node, path in nodes]
    # Gateways fold the case of session keys, so they must differ even then.
    assert len({ref.session_key.lower() for ref in refs}) == len(nodes)
    assert len({ref.key for ref in refs}) == len(nodes)


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_a_session_key_is_never_too_long_for_the_gateway(execution: str, node: str) -> None:
    assert len(name(("d" * 80, execution, node, "0.1.2", 1)).session_key) <= 512


@given(st.integers(1, 64), NAMES)
def test_a_long_agent_id_does_not_push_the_session_key_over_the_limit(length: int, node: str) -> None:
    ref = run_ref(deployment_id="x" * 80, agent_id="a" * length, execution_id="y" * 80, node_id=node, path="9" * 80)
    assert len(ref.session_key) <= 512


def test_a_reference_survives_being_stored() -> None:
    ref = RunRef("k", "s", "b")
    assert RunRef.from_json(ref.as_json()) == ref


def test_the_device_signs_the_challenge_in_the_third_form() -> None:
    device = Device.from_key(Ed25519PrivateKey.generate())
    caller = ClientIdentity("gateway-client", "backend", "operator", ("operator.read", "operator.write"), "Linux")
    proof = device.sign(caller, nonce="n-1", signed_at=1795379650099, token="secret")
    raw = base64.urlsafe_b64decode(proof["publicKey"] + "==")
    text = (
        f"v3|{hashlib.sha256(raw).hexdigest()}|gateway-client|backend|operator|operator.read,operator.write|"
        "1795379650099|secret|n-1|linux|"
    )
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.urlsafe_b64decode(proof["signature"] + "=="), text.encode())
    assert proof["id"] == hashlib.sha256(raw).hexdigest()
    assert "=" not in proof["signature"] + proof["publicKey"]


def test_a_device_key_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "device.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    device = Device.load(str(path))
    assert device.id == Device.from_key(key).id
    assert "Ed25519PrivateKey" not in repr(device)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rsa.pem"
    key = generate_private_key(65537, 2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match="Ed25519"):
        Device.load(str(path))
