"""The layout holds: imports point down, no cycle, no long module, frameworks apart."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bench"
LINE_CAP = 400

# Highest first. A module may import from lower layers, and from its own.
LAYERS = [
    ["__main__"],
    ["cli"],
    ["api"],
    ["runner", "standing"],
    ["lineage", "ordering"],
    ["executors"],
    ["training"],
    ["timing"],
    ["studies", "forecast", "merging", "folding", "checking", "plots", "report"],
    ["anchors", "inits", "study_values", "history"],
    ["results", "checkpoints"],
    ["timm_results"],
    ["feasible", "imports"],
    ["published", "machine", "devices"],
    [
        "backend",
        "backend_jax",
        "backend_torch",
        "learner_jax",
        "learner_torch",
        "averages_jax",
        "averages_torch",
        "network_jax",
        "gradients_jax",
        "gradients_torch",
        "resident_jax",
        "resident_torch",
        "variants_torch",
        "probe",
    ],
    ["models", "data", "peers"],
    ["analysis", "recipes", "yaml_strict"],
    ["conform", "record", "sifting", "variants", "sheets"],
    ["specs"],
    ["identity"],
    ["compile_cache"],
    ["units", "errors", "cores", "hlo", "asked", "checkout", "_shipped"],
]
FRAMEWORK_PACKAGES = {
    "jax": "_jax.py",
    "flax": "_jax.py",
    "optax": "_jax.py",
    "torch": "_torch.py",
}
ROWS_ONLY = ("analysis", "plots", "report", "results", "published")


def modules(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """Absolute names of everything `path` imports, wherever in the file."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            names.append(module)
            names += [f"{module}.{alias.name}" for alias in node.names]
    return tuple(names)


def layer_of(part: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if part in names]
    assert found, f"bench/{part} is in no layer; name it in tests/test_layers.py"
    return found[0]


def upward(package: Path) -> list[str]:
    """Every import that points up."""
    found = []
    for path in modules(package):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for name in imports(path):
            part = name.split(".")
            if part[0] != "bench" or len(part) < 2 or part[1].startswith("__"):
                continue
            if layer_of(part[1]) < layer_of(own):
                found.append(f"{path.relative_to(package)} imports {name}")
    return found


def misplaced(package: Path) -> list[str]:
    """Every framework import outside its twin."""
    return [
        f"{path.relative_to(package)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        for framework, ending in FRAMEWORK_PACKAGES.items()
        if name.split(".")[0] == framework and not path.name.endswith(ending)
    ]


def too_long(package: Path) -> list[str]:
    return [
        f"{path.relative_to(package)}: {count} lines"
        for path in modules(package)
        if (count := len(path.read_text().splitlines())) > LINE_CAP
    ]


def cycles(package: Path) -> list[str]:
    """Modules that import each other at import time, directly or through others."""
    graph: dict[str, set[str]] = {}
    names = {}
    for path in modules(package):
        parts = ("bench", *path.relative_to(package).with_suffix("").parts)
        names[".".join(parts).removesuffix(".__init__")] = path
    for name, path in names.items():
        body = ast.parse(path.read_text()).body  # top level: late imports are no cycle
        graph[name] = {
            target
            for node in body
            if isinstance(node, ast.ImportFrom) and node.module
            for target in [
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            ]
            if target in names and target != name
        }

    def reaches(start: str, goal: str, seen: set[str]) -> bool:
        for target in graph[start] - seen:
            seen.add(target)
            if target == goal or reaches(target, goal, seen):
                return True
        return False

    return [name for name in graph if reaches(name, name, set())]


CHECKS = [upward, misplaced, too_long, cycles]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_layout(check):
    assert check(PACKAGE) == []


def test_rows_only_modules_import_neither_models_nor_frameworks():
    found = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for part in ROWS_ONLY
        for path in [*PACKAGE.glob(f"{part}.py"), *PACKAGE.glob(f"{part}/**/*.py")]
        for name in imports(path)
        if name.startswith(("bench.models", "bench.backend", "bench.training"))
    ]
    assert found == []


PLANTED = {
    upward: {"units.py": "import bench.cli\n"},
    misplaced: {"units.py": "def f():\n    import torch\n"},
    too_long: {"units.py": "x = 1\n" * (LINE_CAP + 1)},
    cycles: {
        "units.py": "from bench import errors\n",
        "errors.py": "from bench.units import f\n",
    },
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_sees_a_planted_violation(check, tmp_path):
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__init__.py").write_text("")
    for name, text in PLANTED[check].items():
        (tmp_path / name).write_text(text)
    assert check(tmp_path) != []
