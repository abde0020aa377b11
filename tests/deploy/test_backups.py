"""Backups and the archive are encrypted, kept as long as is promised, and apart from the keys."""

import re
import subprocess
from pathlib import Path

from tests.deploy.compose import INSTANCES, ROOT, SERVICES, filled


def passed_to_pgbackrest(folder: Path, **env: str) -> dict[str, str]:
    """The options of the repository that the containers' pgBackRest would get."""
    script = folder / "pgbackrest"
    script.write_text((ROOT / "deploy/postgres/pgbackrest.sh").read_text().replace("/usr/bin/pgbackrest", "env"))
    done = subprocess.run(["sh", script], env=env, capture_output=True, text=True, check=True)
    return dict(re.findall(r"^PGBACKREST_REPO1_(\w+)=(.*)$", done.stdout, re.MULTILINE))


def test_the_archive_is_encrypted_in_the_volume_or_in_a_bucket(tmp_path: Path) -> None:
    services = [SERVICES[name]["environment"] for name in ("postgres", "archive")]
    archive = {name: filled(str(value)) for name, value in services[0].items() if "POSTGRES" not in name}
    assert archive.items() <= {name: filled(str(value)) for name, value in services[1].items()}.items()
    for name in ("archive_passphrase", "archive_s3_key", "archive_s3_key_secret"):
        (tmp_path / name).write_text(f"the {name}\n")
    (tmp_path / "ca.pem").write_text("an authority")
    files = {name: value.replace("/run/secrets", str(tmp_path)) for name, value in archive.items()}
    assert passed_to_pgbackrest(tmp_path, **files) == {"CIPHER_PASS": "the archive_passphrase"}
    bucket = {"ARCHIVE_S3_BUCKET": "b", "ARCHIVE_S3_ENDPOINT": "s3.example", "ARCHIVE_S3_REGION": "r"}
    common = {"CIPHER_PASS": "the archive_passphrase", "TYPE": "s3", "S3_URI_STYLE": "host"}
    common |= {"S3_BUCKET": "b", "S3_ENDPOINT": "s3.example", "S3_REGION": "r"}
    key = {"S3_KEY": "the archive_s3_key", "S3_KEY_SECRET": "the archive_s3_key_secret"}
    assert passed_to_pgbackrest(tmp_path, **files | bucket) == common | key
    of_its_own = {"ARCHIVE_S3_CA_FILE": str(tmp_path / "ca.pem"), "ARCHIVE_S3_URI_STYLE": "path"}
    expected = common | key | {"STORAGE_CA_FILE": str(tmp_path / "ca.pem"), "S3_URI_STYLE": "path"}
    assert passed_to_pgbackrest(tmp_path, **files | bucket | of_its_own) == expected
    for name in ("archive_s3_key", "archive_s3_key_secret"):
        (tmp_path / name).write_text("")
    assert passed_to_pgbackrest(tmp_path, **files | bucket) == common | {"S3_KEY_TYPE": "auto"}


def test_no_service_has_backups_and_the_keys_of_what_is_in_them() -> None:
    keys, kept = {"encryption_keys", "jwt_secrets"}, re.compile("^(archive|backups):")
    with_keys = {name for name, service in SERVICES.items() if keys & set(service.get("secrets", ()))}
    with_backups = {name for name, service in SERVICES.items() if any(map(kept.match, service.get("volumes", ())))}
    assert with_keys == {"worker-executions"} | INSTANCES
    assert with_backups == {"postgres", "archive", "backup"}


def test_backups_are_kept_as_long_as_is_promised() -> None:
    configured = (ROOT / "deploy/postgres/pgbackrest.conf").read_text()
    assert "repo1-retention-full-type=time\nrepo1-retention-full=30\n" in configured
    assert "repo1-cipher-type=aes-256-cbc\n" in configured
    script = (ROOT / "deploy/backup.sh").read_text()
    assert re.findall(r"^KEEP_(\w+)=\$\{KEEP_\w+:-(\d+)\}", script, re.M) == [("DAYS", "30"), ("REDIS_DAYS", "7")]
    for name in ("archive", "backup"):
        assert not [key for key in SERVICES[name]["environment"] if "KEEP" in key or "RETENTION" in key]
