"""One AMD GPU, or one die (GCD) of an MI200, as `rocm-smi` lists it.

jax calls these devices rocm, torch calls them cuda. One process times one device: the
first that the visibility variables leave. Not tried on such a machine: the parser is
tested against recorded output.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from bench.devices import Device

QUERY = ("--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json")
VISIBLE = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
_TWO_DIES = re.compile(r"MI2[05]0", re.IGNORECASE)
"""An MI250 has two dies, each a device of its own; the tool names it MI200 (MCM)."""


def describe() -> Device | None:
    """The first visible GPU; None where there is no driver or no GPU."""
    if shutil.which("rocm-smi") is None:
        return None
    command = ["rocm-smi", *QUERY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout.lstrip().startswith("{"):
        return None
    return parse(json.loads(done.stdout), os.environ)


def parse(
    listed: Mapping[str, Mapping[str, str]], variables: Mapping[str, str]
) -> Device | None:
    """The first visible card listed; the keys change case with the tool's version."""
    cards = sorted(
        (name for name in listed if re.fullmatch(r"card\d+", name)),
        key=lambda name: int(name.removeprefix("card")),
    )
    number = _first(variables)
    if not 0 <= number < len(cards):
        return None
    card = {key.lower(): value for key, value in listed[cards[number]].items()}
    system = {key.lower(): value for key, value in listed.get("system", {}).items()}
    name = card.get("card series", "AMD GPU")
    memory = card.get("vram total memory (b)")
    return Device(
        kind="rocm",
        name=name,
        core_kind="gcd" if _TWO_DIES.search(name) else "gpu",
        cores=1.0,
        parallelism="replica",
        parts={"gpu": name, **({"gpu_memory": f"{memory} B"} if memory else {})},
        driver={k: v for k, v in {"amdgpu": system.get("driver version")}.items() if v},
        called={"torch": "cuda"},
    )


def _first(variables: Mapping[str, str]) -> int:
    """Position of the first visible device; -1 where none is, or it is no number."""
    for name in VISIBLE:
        if name in variables:
            first = variables[name].split(",")[0].strip()
            return int(first) if first.isdigit() else -1
    return 0
