"""What an operator says of identity ([identity] of the settings, and what a command line says instead) as what a replay and a probe stamp and learn by.

Nothing of dpi/identity is imported where nothing is said: a replay without bindings starts as fast as ever.
"""
from __future__ import annotations

import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from dpi.settings import Settings

if TYPE_CHECKING:
    from dpi.identity.holders import Holders
    from dpi.identity.sessions import Learning
    from dpi.identity.stamper import Identity, Options


def options_of(settings: Settings) -> Options:
    """[identity] of the settings."""
    from dpi.identity.stamper import Options

    return Options(**{one.name: getattr(settings.identity, one.name) for one in fields(Options)})


def identity_of(settings: Settings, bindings: str | None = None, local_networks: str | None = None) -> Identity | None:
    """Whose addresses are; bindings, local_networks: in place of those of the settings. None where nothing is said. Warnings go to stderr.

    UserError: a file with an error, networks that are none."""
    given = settings.identity
    if not (given.bindings or given.local_networks or given.country_database or given.asn_database or bindings or local_networks):
        return None
    from dpi.identity.stamper import geography, load

    asked = options_of(settings)
    asked = replace(asked, bindings=bindings or asked.bindings, local_networks=local_networks or asked.local_networks)
    found = load(asked, "--local-networks" if local_networks else "[identity] local_networks")
    found.geography = geography(asked)
    for warning in found.bindings.warnings:
        print(f"fullspan: {warning}", file=sys.stderr, flush=True)
    return found


def learning_of(settings: Settings, identity: Identity | None) -> Learning:
    """What is learned of who has an address. UserError: words that are none."""
    from dpi.identity.holders import wants_sessions
    from dpi.identity.learning import learning

    asked = settings.identity
    return learning(asked.learn, asked.radius_from, asked.dhcp_from, asked.session_seconds, asked.max_sessions,
                    wanted=identity is not None and wants_sessions(identity.bindings), any_scope=not settings.flow.key_vlan)


def holders_of(settings: Settings, identity: Identity | None) -> Holders | None:
    """Who has an address, where that is to be learned."""
    asked = settings.identity
    if not asked.learn and not asked.radius_from and not asked.dhcp_from and (identity is None or not len(identity.bindings)):
        return None
    learned = learning_of(settings, identity)
    if not learned.kinds:
        return None
    from dpi.identity.holders import Holders
    from dpi.identity.sessions import Sessions

    return Holders(Sessions(learned))
