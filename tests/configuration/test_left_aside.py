"""What calls have set and no longer fits, and how a server gets rid of it."""

from __future__ import annotations

import pytest

import crucible
from tests.configuration.conftest import Configured


def test_what_no_longer_fits_the_file_stops_the_start(configured: Configured) -> None:
    configured.client.update_config({"engine.health_check.timeout": "4s"})
    configured.client.close()
    configured.server.terminate()
    configured.write('engine.health_check.interval = "3s"\n')
    with pytest.raises(AssertionError, match="at most the interval"):
        configured.server.start()
    assert any("--leave-config-service" in line for line in configured.server.log)
    configured.server.words = (*configured.server.words, "--leave-config-service")
    configured.server.start()
    configured.client = crucible.Client(configured.server.address)
    config = configured.client.config("engine.health_check")
    assert (config.version, config["engine.health_check.timeout"]) == (1, 2.0)
    assert configured.client.update_config({"spare_children": 1}).config.version == 2
    configured.restart()
    assert configured.client.config()["engine.health_check.timeout"] == 2.0


@pytest.fixture
def left_aside(configured: Configured) -> Configured:
    """A server that was started without what calls have set, some of which does not fit its file."""
    configured.client.update_config({"engine.health_check.timeout": "4s", "spare_children": 1})
    configured.write('engine.health_check.interval = "3s"\n')
    configured.restart("--leave-config-service")
    config = configured.client.config()
    assert (config.version, config["engine.health_check.timeout"], config["spare_children"]) == (1, 2.0, 2)
    return configured


def test_what_was_left_aside_is_taken_back_by_key(left_aside: Configured) -> None:
    update = left_aside.client.update_config(reset=["engine.health_check.timeout"], expected_version=1)
    assert update.config.version == 2
    assert {each.key: (each.old, each.new) for each in update.changes} == {
        "engine.health_check.timeout": (4.0, 2.0),
        "spare_children": (2, 1),
    }
    left_aside.restart()
    config = left_aside.client.config()
    assert (config["engine.health_check.timeout"], config["spare_children"]) == (2.0, 1)


def test_what_was_left_aside_is_taken_back_whole(left_aside: Configured) -> None:
    update = left_aside.client.revert_config(0)
    assert update.config.version == 2
    assert {each.key: (each.old, each.new) for each in update.changes} == {
        "engine.health_check.timeout": (4.0, 2.0),
        "spare_children": (1, 2),
    }
    (latest, _) = left_aside.client.config_revisions()
    assert (latest.values, len(latest.changes)) == ({}, 2)
    left_aside.restart()
    assert left_aside.client.config()["spare_children"] == 2


def test_taking_back_what_leaves_the_rest_unfit_is_refused(left_aside: Configured) -> None:
    with pytest.raises(crucible.ValidationError, match=r"health_check\.timeout: expected at most the interval"):
        left_aside.client.update_config(reset=["spare_children"])
    assert left_aside.client.config().version == 1
