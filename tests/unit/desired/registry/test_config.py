"""The rendered configuration avoids every known trap of Distribution."""

from __future__ import annotations

import base64
import re
from typing import Any

import yaml

from berth.desired.registry.config import dump_config, registry_config
from berth.desired.registry.deployment import GRACE_SECONDS
from berth.desired.registry.secret import build_registry_secret
from tests.kit.desired.samples import CA, SECRET, inputs

GOLDEN = """\
auth:
  token:
    issuer: berth
    realm: https://images.example.org/token
    rootcertbundle: /etc/distribution/ca.crt
    service: berth-registry/genomics
    signingalgorithms:
    - ES256
catalog:
  maxentries: 1000
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus:
      enabled: true
      path: /metrics
  draintimeout: 60s
  relativeurls: true
  secret: 5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
log:
  accesslog:
    disabled: true
  fields:
    project: genomics
    service: registry
  formatter: json
  level: info
storage:
  delete:
    enabled: true
  filesystem:
    rootdirectory: /var/lib/registry
  maintenance:
    uploadpurging:
      age: 168h
      dryrun: false
      enabled: true
      interval: 24h
  redirect:
    disable: true
validation:
  manifests:
    indexes:
      platforms: all
version: '0.1'
"""


def config(**changed: Any) -> dict[str, Any]:
    return registry_config("genomics", inputs(**changed))


def test_the_whole_configuration_is_the_one_that_was_reviewed() -> None:
    assert dump_config(config()) == GOLDEN


def test_the_dumped_text_reads_back_as_the_same_data() -> None:
    assert yaml.safe_load(dump_config(config())) == config()


def test_the_secret_stays_text_even_when_its_digits_look_like_a_number() -> None:
    for secret in ("1" * 64, "0" * 64, "1e" + "5" * 62, "0x" + "1" * 62):
        assert yaml.safe_load(dump_config(config(http_secret=secret)))["http"]["secret"] == secret


def test_the_realm_is_fixed_and_never_taken_from_a_request() -> None:
    token = config(host="images.example.org:8443")["auth"]["token"]
    assert token["realm"] == "https://images.example.org:8443/token"
    assert "autoredirect" not in token


def test_each_project_has_an_audience_of_its_own() -> None:
    services = {registry_config(p, inputs())["auth"]["token"]["service"] for p in ("alpha", "beta")}
    assert services == {"berth-registry/alpha", "berth-registry/beta"}


def test_trust_is_in_an_authority_so_that_the_signing_key_can_rotate() -> None:
    token = config()["auth"]["token"]
    assert "rootcertbundle" in token
    assert "jwks" not in token


def test_purging_of_uploads_has_all_four_keys() -> None:
    purging = config()["storage"]["maintenance"]["uploadpurging"]
    assert set(purging) == {"enabled", "age", "interval", "dryrun"}
    assert isinstance(purging["age"], str)
    assert isinstance(purging["interval"], str)


def test_no_descriptor_cache_can_answer_for_collected_blobs() -> None:
    assert "cache" not in config()["storage"]


def test_the_pod_lives_longer_than_its_drain() -> None:
    drain = re.fullmatch(r"(\d+)s", config()["http"]["draintimeout"])
    assert drain is not None
    assert int(drain[1]) < GRACE_SECONDS


def test_debug_has_a_port_of_its_own() -> None:
    http = config()["http"]
    assert http["debug"]["addr"].rpartition(":")[2] != http["addr"].rpartition(":")[2]


def test_the_secret_object_holds_the_configuration_and_the_authority() -> None:
    made = build_registry_secret("genomics", inputs())
    files = {key: base64.b64decode(value).decode() for key, value in made["data"].items()}
    assert files == {"config.yml": GOLDEN, "ca.crt": CA}
    assert "stringData" not in made


def test_inputs_never_show_the_secret() -> None:
    assert SECRET not in repr(inputs())
