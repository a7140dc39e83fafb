"""`agentprov trust`: who may sign what."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe

if TYPE_CHECKING:
    from agentprov.verify.trust import TrustedSigner

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Say who may sign what: add, list or revoke keys and identities.",
)


class RoleOption(StrEnum):
    """What a signer may be."""

    human = "human"
    reviewer = "reviewer"
    recorder = "recorder"
    ci = "ci"


@app.command(
    epilog=examples(
        "agentprov trust add jane.pub --person mailto:jane@example.com --role reviewer",
        "agentprov trust add ci.pem --person 'acme CI' --role ci --builder URI",
        "agentprov trust add --issuer https://accounts.example.com --identity jane@example.com "
        "--person mailto:jane@example.com --role reviewer",
    )
)
def add(
    key: Path | None = typer.Argument(
        None, metavar="[KEY]", help="A public key file: PEM or one OpenSSH line."
    ),
    person: str = typer.Option(..., "--person", help="Who answers for it."),
    role: list[RoleOption] = typer.Option(..., "--role", help="What it may be; repeatable."),
    issuer: str | None = typer.Option(None, "--issuer", help="OIDC issuer, instead of a key."),
    identity: str | None = typer.Option(None, "--identity", help="The exact identity."),
    pattern: str | None = typer.Option(
        None, "--identity-pattern", help="An anchored expression: ^...$"
    ),
    root: str | None = typer.Option(None, "--root", help="The Sigstore root it must come from."),
    builder: list[str] = typer.Option(
        [], "--builder", metavar="URI", help="A builder id it may speak for; repeatable."
    ),
    custody: str | None = typer.Option(
        None, "--custody", help="file, agent, agent-confirm, passphrase or touch."
    ),
    not_before: str | None = typer.Option(None, "--not-before", metavar="TIME"),
    not_after: str | None = typer.Option(None, "--not-after", metavar="TIME"),
    comment: str | None = typer.Option(None, "--comment"),
) -> int:
    """Add a key or an identity to .agentprov/trust.yaml of the work tree.

    It counts where gates read it: once it is merged to the target branch.
    """
    from agentprov.errors import UsageError
    from agentprov.flows import trust_edit
    from agentprov.flows.world import World

    if (key is None) == (issuer is None):
        raise UsageError("name a KEY file, or an --issuer with its identity")
    added = trust_edit.Added(
        person=person,
        roles=[item.value for item in role],
        spki=trust_edit.read_public_key(key) if key is not None else None,
        issuer=issuer,
        identity=identity,
        pattern=pattern,
        root=root,
        builders=builder,
        custody=custody,
        not_before=not_before,
        not_after=not_after,
        comment=comment,
    )
    trust_edit.add(World.here(), added)
    output.line(f"added {safe(person)} as {', '.join(item.value for item in role)}")
    output.line("  next: review and commit .agentprov/trust.yaml")
    return 0


@app.command(
    epilog=examples(
        "agentprov trust root client_trust_config.json --name ours",
        "agentprov trust root --public-good --name public-good",
    )
)
def root(
    file: Path | None = typer.Argument(
        None, metavar="[FILE]", help="trusted_root.json, or a client trust configuration."
    ),
    name: str = typer.Option(..., "--name", help="What identities call the instance."),
    public_good: bool = typer.Option(
        False, "--public-good", help="Fetch Sigstore's public instance's, over the network."
    ),
) -> int:
    """Name a Sigstore instance whose certificates may count, by its trusted root.

    The root is written beside .agentprov/trust.yaml, which pins its digest. It counts where gates
    read it: once it is merged to the target branch.
    """
    from agentprov.errors import UsageError, UserError
    from agentprov.flows import trust_edit
    from agentprov.flows.world import World
    from agentprov.system.files import read_bounded

    if (file is None) != public_good:
        raise UsageError("name a FILE, or --public-good")
    content = None
    if file is not None:
        try:
            content = read_bounded(file, trust_edit.MAX_ROOT_FILE)
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from error
    written = trust_edit.name_instance(World.here(), name, content)
    output.line(f"named {safe(name)}; its root is {safe(str(written))}")
    output.line(
        f"  next: review and commit it with .agentprov/trust.yaml; then "
        f"`agentprov trust add --issuer ... --root {safe(name)}`"
    )
    return 0


@app.command("list", epilog=examples("agentprov trust list", "agentprov trust list --json"))
def list_(
    target: str | None = typer.Option(
        None, "--from", metavar="REV", help="Read it from this revision, as gates do."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """List who may sign what, with whole public keys."""
    from agentprov.errors import ConfigurationInvalid
    from agentprov.flows import trust, trust_edit
    from agentprov.flows.world import World

    world = World.here()
    root = trust_edit.work_tree(world) if target is None else trust.at_revision(world.git, target)
    if root is None:
        raise ConfigurationInvalid(f"{target} holds no {trust.TRUST_PATH}")
    if as_json:
        output.document(
            {
                "schema": "agentprov-trust-list/1",
                "source": root.source,
                "digest": {"sha256": root.sha256},
                "signers": [_plain(signer) for signer in root.signers],
                "sigstore": [
                    {"name": item.name, "digest": {"sha256": item.sha256}} for item in root.sigstore
                ],
                "timestampAuthorities": [item.name for item in root.timestamps],
            }
        )
        return 0
    for signer in root.signers:
        _print(signer)
    return 0


@app.command(
    epilog=examples(
        "agentprov trust revoke jane@example.com --retired --reason 'left the team'",
        "agentprov trust revoke 3fb2a1c4 --compromised --since 2026-11-01T00:00:00Z "
        "--reason 'laptop stolen'",
    )
)
def revoke(
    who: str = typer.Argument(..., metavar="PERSON|FINGERPRINT|IDENTITY", help="Whose rights."),
    retired: bool = typer.Option(
        False, "--retired", help="On good terms: what is bound to --after and before stays."
    ),
    after: str | None = typer.Option(
        None, "--after", metavar="REV", help="The last commit that it speaks for; HEAD if not said."
    ),
    compromised: bool = typer.Option(
        False, "--compromised", help="Only what a trusted time puts before --since stays."
    ),
    since: str | None = typer.Option(None, "--since", metavar="TIME", help="RFC 3339 time."),
    reason: str = typer.Option(..., "--reason", help="Why; published."),
) -> int:
    """Take a signer's rights back in .agentprov/trust.yaml; the entry stays, marked."""
    from agentprov.errors import UsageError, UserError
    from agentprov.flows import trust_edit
    from agentprov.flows.world import World

    if retired == compromised or (retired and since) or (compromised and after):
        raise UsageError("say --retired [--after REV], or --compromised --since TIME")
    world = World.here()
    commit = None
    if retired:
        commit = world.git.resolve(after or "HEAD")
        if commit is None:
            raise UserError(f"{after or 'HEAD'!r} is no commit here")
    elif since is None:
        since = world.now()
    _, signer = trust_edit.revoke(world, who, reason=reason, after=commit, since=since)
    output.line(f"revoked {safe(signer.person)}")
    output.line("  next: review, commit and merge .agentprov/trust.yaml; gates read it there")
    return 0


@app.command(
    "deny-model",
    epilog=examples(
        "agentprov trust deny-model anthropic/claude-sonnet-4-20250514 --reason 'advisory 12'",
        "agentprov trust deny-model '*/*claude-sonnet-4-20250514*' --reason 'advisory 12'",
    ),
)
def deny_model(
    pattern: str = typer.Argument(
        ..., metavar="PATTERN", help="Provider and served id, as policies match them."
    ),
    reason: str = typer.Option(..., "--reason", help="Why; a comment in the policy."),
) -> int:
    """Deny a model in .agentprov/policy.yaml of the work tree: gates refuse what it had part in.

    It counts where gates read it: once it is merged to the target branch. What a model wrote
    before is found by `agentprov query`.
    """
    from agentprov.flows import policy_edit
    from agentprov.flows.world import World

    enforces = policy_edit.deny_model(World.here(), pattern, reason)
    output.line(f"denied {safe(pattern)}")
    if not enforces:
        output.note("this policy only observes: gates will warn; `mode: enforce` makes them refuse")
    output.line("  next: review, commit and merge .agentprov/policy.yaml; gates read it there")
    return 0


def _plain(signer: TrustedSigner) -> dict[str, Any]:
    from agentprov.flows.trust_edit import fingerprint
    from agentprov.verify.trust import TrustedIdentity, TrustedKey, entry

    item: dict[str, Any] = {
        "person": signer.person,
        "roles": sorted(signer.roles),
        "builders": sorted(signer.builders),
        "custody": signer.custody,
        "notBefore": signer.not_before,
        "notAfter": signer.not_after,
        "retired": None,
        "compromised": None,
    }
    if signer.retired:
        item["retired"] = {"after": signer.retired.after, "reason": signer.retired.reason}
    if signer.compromised:
        said = signer.compromised
        item["compromised"] = {"since": said.since, "reason": said.reason}
    if isinstance(signer, TrustedKey):
        item["publicKey"] = entry(signer)["publicKey"]
        item["fingerprint"] = {"sha256": fingerprint(signer)}
        item["hint"] = signer.hint
    if isinstance(signer, TrustedIdentity):
        item |= {"issuer": signer.issuer, "identity": signer.identity, "root": signer.root}
        item["identityPattern"] = signer.pattern
    return item


def _print(signer: TrustedSigner) -> None:
    item = _plain(signer)
    output.line(f"{safe(signer.person)}  {', '.join(item['roles'])}  [{signer.custody}]")
    if "publicKey" in item:
        output.line(f"  sha256:{item['fingerprint']['sha256']}")
        output.line(f"  {item['publicKey']}")
    else:
        name = item["identity"] or item["identityPattern"]
        output.line(f"  {safe(name)}, as {safe(item['issuer'])} says")
    for builder in item["builders"]:
        output.line(f"  speaks for {safe(builder)}")
    if signer.not_before or signer.not_after:
        output.line(f"  from {signer.not_before or 'ever'} until {signer.not_after or 'ever'}")
    if signer.retired:
        output.line(f"  retired after {signer.retired.after}: {safe(signer.retired.reason)}")
    if signer.compromised:
        said = signer.compromised
        output.line(f"  compromised since {said.since}: {safe(said.reason)}")
