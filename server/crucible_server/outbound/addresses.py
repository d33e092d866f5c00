"""Which addresses may be dialled: what is public, and of the rest what the operator named."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 addresses that lead to an IPv4 address which nobody checked. Those that Python's registry calls global are
# named as well, as are those of which it knows nothing.
_TRANSITION = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, of the local network
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
    )
)
_RELAYS = (ipaddress.IPv4Network("192.88.99.0/24"),)
# RFC 1918, unique local addresses, and what carriers share: a service of the operator may well live there.
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def what_it_is(address: Address) -> str:
    """`public`, `loopback`, `private`, or a word for what is never dialled unless named as a literal."""
    is_special = address.is_loopback or address.is_unspecified
    if not is_special and any(address in network for network in _TRANSITION):
        return "IPv4 inside IPv6"
    if any(address in network for network in _RELAYS):
        return "6to4 relay"
    if address.is_unspecified:
        return "unspecified"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local or getattr(address, "is_site_local", False):
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if any(address in network for network in _PRIVATE):
        return "private"
    if address.is_reserved or not address.is_global:
        return "reserved"
    return "public"


def refusal(address: Address, *, trusts_private: bool, is_named: bool) -> str:
    """Why an address is not dialled; empty when it is.

    `trusts_private`: the allow-list names the host with its port. `is_named`: it names this very address, with its
    port.
    """
    kind = what_it_is(address)
    if kind == "public" or is_named or (trusts_private and kind in ("loopback", "private")):
        return ""
    return f"a {kind} address"
