"""Headers of every answer, and whom a request may call us."""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

_NAME: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?")


def security_headers(style_nonce: str | None = None) -> dict[str, str]:
    """Return the headers that confine a page to what this server itself serves.

    Args:
        style_nonce: allows the style elements of this nonce; None: none at all.
    """
    style = "'self'" if style_nonce is None else f"'self' 'nonce-{style_nonce}'"
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": style,
        "img-src": "'self' data:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    """Say whether a request's `Host` header is a name that we go by.

    A page of another site can make its own name resolve to this machine (DNS rebinding) and would
    then read everything here as its own. Its requests still carry its name, and never a bare
    address, which is what they are recognised by.

    >>> [is_allowed_host(host, {"localhost"}) for host in ("localhost:8070", "[::1]", "evil.com")]
    [True, True, False]
    """
    found = _NAME.fullmatch(host)
    if found is None:
        return False
    name = found["name"].strip("[]").lower()
    return name in allowed or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
