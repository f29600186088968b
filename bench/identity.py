"""What every identity here is hashed from: canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """Canonical JSON, the text that every identity here is hashed from."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def short_hash(value: Any) -> str:
    """First 16 hex digits of the sha256 of `value` in canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]
