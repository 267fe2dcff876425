"""`kubectl berth` against a real API server: its answers, and their limits for users with few rights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from berth.authz.token_format import is_token, token_sha256
from berth.cli.kubectl.main import cli
from tests.kit.api import objects
from tests.kit.control_plane import ControlPlane, free_ports

Object = dict[str, Any]
PEOPLE = ("get", "list", "watch")


@dataclass(frozen=True)
class Shop:
    """A project with people, each test with its own; the command line with a kubeconfig."""

    plane: ControlPlane
    project: str

    def name(self, who: str) -> str:
        """A user name of this test."""
        return f"{who}-{self.project}"

    @property
    def image(self) -> str:
        """A repository that inherits the project's sharing."""
        return f"{self.project}/mapper"

    def run(self, *arguments: str, kubeconfig: Path | None = None) -> Result:
        """Run the command as the cluster-admin, or as the user of the kubeconfig."""
        environment = {"KUBECONFIG": str(kubeconfig or self.plane.kubeconfig)}
        return CliRunner().invoke(cli, arguments, prog_name="kubectl berth", env=environment)

    def reader(self, *resources: str, name: str = "reader") -> Path:
        """A kubeconfig with the right to read these of Berth's kinds alone."""
        namespace = self.plane.namespace()
        account = self.plane.service_account(namespace, name)
        rules = [{"apiGroups": ["berth.dev"], "resources": list(resources), "verbs": list(PEOPLE)}]
        role = f"{namespace}-{name}"
        rbac = "rbac.authorization.k8s.io"
        self.plane.apply(
            {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": role},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": rbac, "kind": "User", "name": account}],
            },
        )
        return self.plane.kubeconfig_of(namespace, name)


def policy_rule(kind: str, name: str, level: str) -> Object:
    return {"kind": kind, "name": name, "level": level, "actions": ["view"], "source": "Sharing"}


@pytest.fixture
def shop(berth_crds: ControlPlane, unique: str) -> Shop:
    """curator administers and is certified; newcomer edits through a team; the robot downloads; no one else exists.

    The generated policy is there, as the operator writes it.
    """
    made = Shop(berth_crds, unique)
    namespace = f"berth-{unique}"
    curator, newcomer, robot = made.name("curator"), made.name("newcomer"), made.name("robot")
    team = {"members": [{"kind": "User", "name": newcomer}]}
    rules = [
        policy_rule("User", curator, "Administer"),
        policy_rule("Team", made.name("team"), "Edit"),
        policy_rule("Robot", robot, "Download"),
        policy_rule("ServiceAccount", "builders/ci", "Edit"),
    ]
    berth_crds.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        objects.user(curator, kubernetes__users=[f"{curator}@example.org"]),
        objects.user(newcomer),
        objects.user(robot, type="Robot"),
        {**objects.user(made.name("team")), "kind": "RegistryTeam", "spec": team},
        objects.certification(made.name("cert"), subject__name=curator),
        objects.project(unique),
        objects.policy("project", namespace, project=unique, rules=rules),
        objects.repository("mapper", namespace),
    )
    return made


def test_why_shows_every_check_up_to_the_one_that_says_no_and_leaves_with_3(shop: Shop) -> None:
    newcomer = shop.name("newcomer")
    result = shop.run("why", "push", f"{shop.image}:v2", "--as", newcomer)
    assert result.exit_code == 3, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"push {shop.image} as User {newcomer}"
    assert f"  ok   visible: Team {shop.name('team')} (as its member User {newcomer}) has Edit by Sharing" in lines
    assert lines[-2].startswith(f"  DENY certification: {newcomer} may edit {shop.image} but is not certified to push")
    assert lines[-1] == "  denied: NotCertified"


def test_why_as_json_has_the_decision_and_its_checks(shop: Shop) -> None:
    result = shop.run("why", "push", shop.image, "--as", shop.name("curator"), "-o", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["allowed"], document["reason"], document["unread"]) == (True, None, [])
    assert document["standing"]["level"] == "Administer"
    assert [check["passed"] for check in document["checks"]] == [True] * len(document["checks"])


@pytest.mark.parametrize(
    ("who", "action", "code", "words"),
    [
        ("curator", "push", 0, "yes: User curator-"),
        ("robot:robot", "pull", 0, "yes: Robot robot-"),
        ("robot:robot", "push", 3, "no: robot-"),
        ("newcomer", "delete", 3, "no: newcomer-"),
    ],
)
def test_can_i_says_yes_or_no_with_a_sentence(shop: Shop, who: str, action: str, code: int, words: str) -> None:
    result = shop.run("can-i", action, shop.image, "--as", shop.name(who))
    assert result.exit_code == code, result.output
    assert result.stdout.startswith(words)


def test_can_i_quietly_answers_by_the_exit_code_alone(shop: Shop) -> None:
    result = shop.run("can-i", "-q", "push", shop.image, "--as", shop.name("newcomer"))
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "")


def test_a_project_that_does_not_exist_and_one_that_is_not_shared_get_the_same_reason(shop: Shop) -> None:
    shop.plane.apply(objects.user(shop.name("stranger")))
    for image in (shop.image, f"absent-{shop.project}/mapper"):
        result = shop.run("why", "pull", image, "--as", shop.name("stranger"))
        assert result.exit_code == 3
        assert result.stdout.splitlines()[-1] == "  denied: NotFound"


def test_who_can_lists_subjects_with_level_and_source_and_teams_as_their_members(shop: Shop) -> None:
    pull = shop.run("who-can", "pull", shop.image)
    assert pull.exit_code == 0, pull.output
    rows = [line.split() for line in pull.stdout.splitlines()[1:]]
    curator, newcomer, robot = shop.name("curator"), shop.name("newcomer"), shop.name("robot")
    outside = f"{curator}@example.org"
    assert ["User", curator, "Administer", "User", curator, "Sharing"] in rows
    assert ["User", outside, "Administer", "User", curator, "Sharing"] in rows
    assert ["User", newcomer, "Edit", "Team", shop.name("team"), "Sharing"] in rows
    assert ["Robot", robot, "Download", "Robot", robot, "Sharing"] in rows
    push = json.loads(shop.run("who-can", "push", shop.image, "-o", "json").stdout)
    assert {subject["name"] for subject in push["subjects"]} == {curator, outside}


def test_without_as_a_service_account_asks_for_itself(shop: Shop) -> None:
    everything = (
        "projects",
        "dockerrepositories",
        "accesspolicies",
        "registryusers",
        "registryteams",
        "certifications",
    )
    kubeconfig = shop.reader(*everything)
    result = shop.run("why", "pull", shop.image, kubeconfig=kubeconfig)
    assert result.exit_code == 3, result.output
    assert result.stdout.startswith(f"pull {shop.image} as ServiceAccount test-")


def test_without_as_an_unknown_user_is_refused_with_the_option_to_use(shop: Shop) -> None:
    result = shop.run("can-i", "pull", shop.image)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: No RegistryUser lists admin, your name in this cluster, in spec.kubernetes.users; choose a subject "
        "with --as.\n"
    )


def test_without_as_the_registry_user_that_lists_the_asker_is_meant(shop: Shop) -> None:
    shop.plane.apply(objects.user(shop.name("boss"), kubernetes__users=["admin"]))
    try:
        result = shop.run("can-i", "pull", shop.image)
        assert result.exit_code == 3, result.output
    finally:
        shop.plane.kubectl("delete", "registryuser", shop.name("boss"), check=True)


def test_what_may_not_be_read_and_could_change_the_answer_makes_it_no_answer(shop: Shop) -> None:
    kubeconfig = shop.reader("projects", "dockerrepositories", "accesspolicies", "registryusers", "registryteams")
    certified = shop.name("curator")
    push = shop.run("can-i", "push", shop.image, "--as", certified, kubeconfig=kubeconfig)
    assert push.exit_code == 1
    assert "may not read certifications" in push.stderr
    assert push.stdout == ""
    pull = shop.run("can-i", "pull", shop.image, "--as", certified, kubeconfig=kubeconfig)
    assert pull.exit_code == 0
    assert pull.stderr == "Note: you may not read certifications, so they were left out.\n"


def test_without_the_right_to_read_users_the_answer_is_unknown(shop: Shop) -> None:
    kubeconfig = shop.reader("projects", "dockerrepositories", "accesspolicies", "registryteams", "certifications")
    result = shop.run("can-i", "pull", shop.image, "--as", shop.name("curator"), kubeconfig=kubeconfig)
    assert result.exit_code == 1
    assert result.output.startswith(
        "Error: The answer is unknown, because you may not read registryusers in this cluster"
    )
    token = shop.run("can-i", "pull", shop.image, "--with-token", "laptop", kubeconfig=kubeconfig)
    assert token.exit_code == 1
    assert "you may not read registryusers and accesstokens" in token.output


def test_a_host_other_than_the_registry_of_the_cluster_is_refused(shop: Shop) -> None:
    shop.plane.kubectl(
        "patch",
        "project",
        shop.project,
        "--subresource=status",
        "--type=merge",
        "-p",
        json.dumps({"status": {"address": f"registry.example.org/{shop.project}"}}),
        check=True,
    )
    wrong = shop.run("can-i", "pull", f"other.example.net/{shop.image}", "--as", shop.name("curator"))
    assert wrong.exit_code == 1
    assert "is at registry.example.org, not at other.example.net" in wrong.stderr
    assert shop.run("can-i", "pull", f"registry.example.org/{shop.image}", "--as", shop.name("curator")).exit_code == 0


def test_a_name_that_no_registry_has_is_refused_with_the_registrys_own_sentence(shop: Shop) -> None:
    result = shop.run("can-i", "pull", "Not-A-Project/x", "--as", shop.name("curator"))
    assert result.exit_code == 3
    assert "is not a name in this registry" in result.stdout


def test_a_created_token_is_printed_once_and_only_its_hash_is_in_the_cluster(shop: Shop) -> None:
    name = shop.name("laptop")
    arguments = ("token", "create", name, "--owner", shop.name("curator"), "--scope", "download", "--scope", "modify")
    made = shop.run(*arguments, "--expires-in", "720h", "--description", "laptop")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert is_token(secret)
    found = shop.plane.get("accesstoken", name)
    assert found["spec"]["sha256"] == token_sha256(secret)
    assert found["spec"]["owner"] == {"kind": "User", "name": shop.name("curator")}
    assert secret not in json.dumps(found)
    assert secret not in made.stderr


def test_a_query_about_a_token_uses_its_scopes(shop: Shop) -> None:
    name = shop.name("reader")
    assert shop.run("token", "create", name, "--owner", shop.name("curator"), "--scope", "download").exit_code == 0
    result = shop.run("why", "push", shop.image, "--with-token", name)
    assert result.exit_code == 3, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"push {shop.image} as User {shop.name('curator')} with AccessToken {name}"
    assert lines[-1] == "  denied: TokenScopeMissing"
    assert shop.run("can-i", "pull", shop.image, "--with-token", name).exit_code == 0


def test_a_name_that_is_taken_is_not_written_over_and_leaves_no_secret_behind(shop: Shop, tmp_path: Path) -> None:
    name, file = shop.name("ci"), tmp_path / "secret"
    arguments = ("token", "create", name, "--owner", shop.name("curator"), "--scope", "download")
    assert shop.run(*arguments).exit_code == 0
    before = shop.plane.get("accesstoken", name)
    again = shop.run(*arguments, "--secret-file", str(file))
    assert again.exit_code == 1
    assert again.stderr == (
        f"Error: There is an AccessToken {name} already; choose another name, or revoke that one first.\n"
    )
    assert shop.plane.get("accesstoken", name)["spec"] == before["spec"]
    assert not file.exists()


def test_an_owner_of_the_other_type_is_refused_and_one_that_is_to_come_is_noted(shop: Shop) -> None:
    robot = shop.name("robot")
    wrong = shop.run("token", "create", shop.name("x"), "--owner", robot, "--scope", "download")
    assert wrong.exit_code == 1
    assert wrong.stderr == f"Error: The RegistryUser {robot} is a Robot; write --owner robot:{robot}.\n"
    early = shop.run("token", "create", shop.name("y"), "--owner", shop.name("later"), "--scope", "download")
    assert early.exit_code == 0
    assert f"there is no RegistryUser {shop.name('later')} yet" in early.stderr


def test_tokens_are_listed_by_owner_and_revoked(shop: Shop) -> None:
    name = shop.name("old")
    shop.run("token", "create", name, "--owner", f"robot:{shop.name('robot')}", "--scope", "download")
    listed = shop.run("token", "list", "--owner", f"robot:{shop.name('robot')}")
    assert [line.split()[:4] for line in listed.stdout.splitlines()[1:]] == [
        [name, "Robot", shop.name("robot"), "download"]
    ]
    assert shop.run("token", "revoke", name).stdout == f"accesstoken.berth.dev/{name} revoked\n"
    again = shop.run("token", "revoke", name)
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == f"Error: There is no AccessToken {name}; see kubectl berth token list.\n"
    assert shop.run("token", "list", "--owner", shop.name("robot")).stdout == ""


def test_a_cluster_that_does_not_answer_is_reported_in_one_sentence_with_the_next_step(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    unreachable = tmp_path / "kubeconfig"
    entry = {"cluster": {"server": f"https://127.0.0.1:{port}"}, "user": {"token": "t"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    lists = {"clusters": [{"name": "c", "cluster": entry["cluster"]}], "users": [{"name": "c", "user": entry["user"]}]}
    unreachable.write_text(yaml.safe_dump({**lists, "contexts": [context], "current-context": "c"}))
    result = CliRunner().invoke(cli, ["can-i", "pull", "genomics/aligner", "--kubeconfig", str(unreachable)])
    assert result.exit_code == 1
    assert "got no answer from the API server" in result.stderr
    assert result.stderr.endswith("; try again, or choose another cluster with --context.\n")
    assert result.stderr.count("\n") == 1
