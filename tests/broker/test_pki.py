"""The authority: who gets a certificate, what stands in it, and who gets none any more. With a clock of our own."""

from __future__ import annotations

import contextlib
import fcntl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shelf_broker.pki.certificates import RequestRefused, request_key
from shelf_broker.pki.office import TOKEN_LIFE, Issued, PkiProblem, Refused, RegistryOffice
from shelf_broker.pki.roster import CRL_FILE, ROSTER_FILE, SERVER_FILE, Roster
from shelf_contracts.files import read_model
from shelf_mqtt.address import CA_FILE
from shelf_mqtt.enrolment import fingerprint, parse_token
from shelf_mqtt.identity import make_key_and_request
from shelf_testing.pki import STORE, new_office


class OwnClock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **more: float) -> None:
        self.moment += timedelta(**more)


@pytest.fixture
def clock() -> OwnClock:
    return OwnClock()


@pytest.fixture
def office(tmp_path: Path, clock: OwnClock) -> RegistryOffice:
    return new_office(tmp_path / "pki", now=clock)


def parsed(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate_pem.encode())


def enrol(office: RegistryOffice, device: str = "n01", *, replace: bool = False) -> x509.Certificate:
    token = office.issue_token(device, "node", ["a01"], replace=replace)
    return parsed(office.enrol(token.secret, make_key_and_request().request_pem))


def renew(office: RegistryOffice, old: x509.Certificate) -> x509.Certificate:
    shown = old.public_bytes(serialization.Encoding.DER)
    return parsed(office.renew(shown, make_key_and_request().request_pem))


def roster(office: RegistryOffice) -> dict[str, str]:
    return {one.device: one.enrolment for one in read_model(office.public / ROSTER_FILE, Roster).devices}


def revoked_serials(office: RegistryOffice) -> set[int]:
    listed = x509.load_pem_x509_crl((office.public / CRL_FILE).read_bytes())
    ca = x509.load_pem_x509_certificate((office.public / CA_FILE).read_bytes())
    key = ca.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert listed.is_signature_valid(key)
    return {entry.serial_number for entry in listed}


def test_a_certificate_is_the_devices_and_nothing_more(office: RegistryOffice, clock: OwnClock) -> None:
    certificate = enrol(office)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == ["n01"]
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    alternatives = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [one.value for one in alternatives] == [f"urn:smartshelf:{STORE}:n01:{roster(office)['n01']}"]
    assert certificate.not_valid_before_utc < clock() < certificate.not_valid_after_utc
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(office.authority_pem.encode()))


def test_what_a_request_claims_is_not_believed(office: RegistryOffice) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "collector")]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("store-server")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    token = office.issue_token("n01", "node", ["a01"])
    got = parsed(office.enrol(token.secret, request.public_bytes(serialization.Encoding.PEM).decode()))
    assert got.subject.rfc4514_string() == "CN=n01"
    assert not got.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    alternatives = got.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == []


def test_an_office_that_is_busy_leaves_the_token_good(office: RegistryOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    request = make_key_and_request().request_pem
    token = office.issue_token("n01", "node", ["a01"])
    monkeypatch.setattr("shelf_broker.pki.office._LOCK_DEADLINE_S", 0.05)
    with (office.folder / "authority" / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PkiProblem, match="another process"):
            office.enrol(token.secret, request)
    office.enrol(token.secret, request)


def test_a_token_is_good_once_and_for_ten_minutes(office: RegistryOffice, clock: OwnClock) -> None:
    assert timedelta(minutes=10) == TOKEN_LIFE
    request = make_key_and_request().request_pem
    token = office.issue_token("n01", "node", ["a01"])
    clock.advance(minutes=9, seconds=59)
    office.enrol(token.secret, request)
    with pytest.raises(Refused):
        office.enrol(token.secret, request)

    late = office.issue_token("n02", "node", ["a02"])
    clock.advance(minutes=10)
    with pytest.raises(Refused):
        office.enrol(late.secret, request)
    with pytest.raises(Refused):
        office.enrol("A" * 26, request)
    assert set(roster(office)) == {"n01"}


def test_a_newer_token_voids_the_one_before(office: RegistryOffice) -> None:
    first, second = office.issue_token("n01", "node", ["a01"]), office.issue_token("n01", "node", ["a01"])
    request = make_key_and_request().request_pem
    with pytest.raises(Refused):
        office.enrol(first.secret, request)
    office.enrol(second.secret, request)


def _rsa_request() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _tampered_request() -> str:
    one, other = make_key_and_request(), make_key_and_request()
    der = x509.load_pem_x509_csr(one.request_pem.encode()).public_bytes(serialization.Encoding.DER)
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = der.replace(one.key.public_key().public_bytes(*spki), other.key.public_key().public_bytes(*spki))
    return x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("request_pem", "says"),
    [
        ("", "no certificate request"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "no certificate request"),
        ("x" * 9000, "longer than"),
        (_rsa_request(), "P-256"),
        (_tampered_request(), "not signed with its own key"),
    ],
    ids=["empty", "garbage", "long", "rsa", "forged"],
)
def test_a_bad_request_is_refused_and_the_token_stays_good(request_pem: str, says: str, office: RegistryOffice) -> None:
    token = office.issue_token("n01", "node", ["a01"])
    with pytest.raises(RequestRefused, match=says):
        office.enrol(token.secret, request_pem)
    office.enrol(token.secret, make_key_and_request().request_pem)


@pytest.mark.parametrize(
    ("device", "role", "bays", "error"),
    [
        ("N01", "node", ["a01"], ValidationError),
        ("n01/#", "node", ["a01"], ValidationError),
        ("n01", "admin", [], ValidationError),
        ("n01", "node", ["+"], ValidationError),
        ("n01", "node", [], PkiProblem),
        ("d01", "display", ["a01"], PkiProblem),
    ],
)
def test_impossible_devices_get_no_token(
    device: str, role: str, bays: list[str], error: type[Exception], office: RegistryOffice
) -> None:
    with pytest.raises(error):
        office.issue_token(device, role, bays)


def test_a_revoked_device_is_out_until_it_is_enrolled_again(office: RegistryOffice) -> None:
    first = enrol(office)
    renewed = renew(office, first)
    other = enrol(office, "n02")
    before = roster(office)["n01"]
    office.revoke("n01", "stolen")
    assert revoked_serials(office) == {first.serial_number, renewed.serial_number}
    assert set(roster(office)) == {"n02"}
    for old in (first, renewed):
        with pytest.raises(Refused, match="revoked"):
            renew(office, old)
    again = enrol(office)
    assert roster(office)["n01"] != before
    assert again.serial_number not in revoked_serials(office)
    assert renew(office, other).serial_number not in revoked_serials(office)
    with pytest.raises(PkiProblem, match="is not enrolled"):
        office.revoke("n99", "")


def test_an_exchanged_device_shuts_out_the_one_before(office: RegistryOffice) -> None:
    first = enrol(office)
    with pytest.raises(PkiProblem, match="--replace"):
        office.issue_token("n01", "node", ["a01"])
    token = office.issue_token("n01", "node", ["a01"], replace=True)
    assert revoked_serials(office) == set()  # the old one works until the new one is there
    office.enrol(token.secret, make_key_and_request().request_pem)
    assert revoked_serials(office) == {first.serial_number}


def test_a_revocation_voids_the_tokens_that_are_out(office: RegistryOffice) -> None:
    enrol(office)
    token = office.issue_token("n01", "node", ["a01"], replace=True)
    office.revoke("n01", "stolen")
    with pytest.raises(Refused):
        office.enrol(token.secret, make_key_and_request().request_pem)


def test_a_certificate_that_is_over_is_not_renewed(office: RegistryOffice, clock: OwnClock) -> None:
    certificate = enrol(office)
    clock.advance(days=91)
    with pytest.raises(Refused, match="over"):
        renew(office, certificate)


def test_a_certificate_of_another_authority_is_not_renewed(office: RegistryOffice, tmp_path: Path) -> None:
    foreign = enrol(new_office(tmp_path / "foreign"))
    with pytest.raises(Refused):
        renew(office, foreign)


def test_the_revocation_list_is_written_only_when_it_grows(office: RegistryOffice) -> None:
    """Mosquitto has to be restarted for a new list, so an enrolment must not make one."""
    file = office.public / CRL_FILE
    before = file.stat().st_mtime_ns, file.stat().st_ino
    enrol(office)
    enrol(office, "n02")
    office.publish()
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    office.revoke("n01", "")
    assert (file.stat().st_mtime_ns, file.stat().st_ino) != before


def test_keys_are_for_their_owner_and_none_is_where_the_broker_needs_none(office: RegistryOffice) -> None:
    made = make_key_and_request()
    office.enrol(office.issue_token("n01", "node", ["a01"]).secret, made.request_pem)
    private = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for file in (one for one in office.folder.rglob("*") if one.is_file()):
        assert private not in file.read_bytes(), f"{file} holds the device's key"
        if file.name != "lock":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for folder in (office.folder, office.public, office.folder / "authority"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with_key = {file.name for file in office.public.iterdir() if b"PRIVATE KEY" in file.read_bytes()}
    assert with_key == {SERVER_FILE}
    assert (office.folder / "authority" / "ca.key").read_bytes() not in (office.public / SERVER_FILE).read_bytes()


def test_the_servers_certificate_is_renewed_in_time(office: RegistryOffice, clock: OwnClock) -> None:
    assert not office.renew_server_if_due()
    clock.advance(days=250)
    assert office.renew_server_if_due()
    assert not office.renew_server_if_due()
    certificate = x509.load_pem_x509_certificate((office.public / SERVER_FILE).read_bytes())
    assert certificate.not_valid_after_utc > clock() + timedelta(days=360)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_bays_can_be_changed_without_a_new_certificate(office: RegistryOffice) -> None:
    enrol(office)
    office.set_bays("n01", ["a01", "a02"])
    assert [one.bays for one in read_model(office.public / ROSTER_FILE, Roster).devices] == [["a01", "a02"]]
    with pytest.raises(PkiProblem):
        office.set_bays("n99", ["a01"])
    with pytest.raises(ValidationError):
        office.set_bays("n01", ["#"])


def test_an_authority_is_never_overwritten_and_its_absence_is_told(office: RegistryOffice, tmp_path: Path) -> None:
    with pytest.raises(PkiProblem, match="already"):
        new_office(office.folder)
    with pytest.raises(PkiProblem, match="smartshelf pki init"):
        RegistryOffice(tmp_path / "nowhere")
    assert RegistryOffice(office.folder).authority_pem == office.authority_pem


def test_a_token_can_be_read_back_and_names_the_authority(office: RegistryOffice) -> None:
    token = office.issue_token("n01", "node", ["a01"], host="fe80::1")
    assert parse_token(str(token)) == token
    assert token.ca_fingerprint == fingerprint(office.authority_pem)
    for wrong in ["", "se1.a.b@h:1", str(token).replace("se1", "se2"), str(token) + "0", str(token)[:-4] + "99999"]:
        with pytest.raises(ValueError, match="no enrolment token"):
            parse_token(wrong)


VALID_REQUEST = """\
-----BEGIN CERTIFICATE REQUEST-----
MIG6MGICAQAwADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJoRzqg60Fe/aOCI
x2iqteJ1N0j2+Qr3/oGRFtI3Z67e+8cNQ/DxQgddfYManZDdce+CZLXLaTWHAjTK
DAlLsEOgADAKBggqhkjOPQQDAgNIADBFAiBRNzRPY+AtNV26XQSUaFAVwl3XlKg3
70P7uyA7ODC3vwIhAIWOhULBzBwj2o4UkJRrWZJvDAR7KluxoNe4ZSSPQvUt
-----END CERTIFICATE REQUEST-----
"""


@settings(max_examples=200)
@given(st.one_of(st.text(), st.tuples(st.integers(0, len(VALID_REQUEST) - 1), st.characters(max_codepoint=127))))
def test_no_request_does_more_than_be_refused(change: str | tuple[int, str]) -> None:
    """Whatever comes over the network instead of a request, or one with a character exchanged."""
    if isinstance(change, str):
        request = change
    else:
        request = VALID_REQUEST[: change[0]] + change[1] + VALID_REQUEST[change[0] + 1 :]
    with contextlib.suppress(RequestRefused):
        request_key(request)


DEVICES = ["n01", "n02", "n03"]
OPERATIONS = st.lists(st.tuples(st.sampled_from(["enrol", "renew", "revoke"]), st.sampled_from(DEVICES)), max_size=8)


@settings(max_examples=25)
@given(OPERATIONS)
def test_whatever_happens_roster_and_list_agree(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, str]]
) -> None:
    """One live enrolment a device at most; all its certificates and no others are outside the revocation list."""
    office = new_office(tmp_path_factory.mktemp("pki") / "pki")
    live: dict[str, list[x509.Certificate]] = {}
    dead: set[int] = set()
    for operation, device in operations:
        if operation == "enrol":
            dead |= {one.serial_number for one in live.pop(device, [])}
            live[device] = [enrol(office, device, replace=True)]
        elif operation == "renew" and device in live:
            live[device].append(renew(office, live[device][-1]))
        elif operation == "revoke" and device in live:
            office.revoke(device, "")
            dead |= {one.serial_number for one in live.pop(device)}
        assert set(roster(office)) == set(live)
        assert revoked_serials(office) == dead


def test_the_register_tells_what_happened(office: RegistryOffice) -> None:
    renew(office, enrol(office))
    office.revoke("n01", "left in a taxi")
    rows: list[Any] = office.enrolments()
    assert [(row.device, row.renewals, row.reason) for row in rows] == [("n01", 1, "left in a taxi")]
