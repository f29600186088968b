"""Cores counted on machines that are not here."""

import pytest

from bench import cores


def cpuinfo(logical, threads_per_core=1, packages=1, hypervisor=False):
    """An x86 /proc/cpuinfo; siblings are numbered last, as Linux does."""
    per_package = logical // threads_per_core // packages
    physical = per_package * packages
    flags = "fpu avx2 avx512f" + (" hypervisor" if hypervisor else "")
    blocks = [
        f"processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n"
        f"model\t\t: 143\nmodel name\t: Xeon 8480\nstepping\t: 8\n"
        f"physical id\t: {cpu % physical // per_package}\n"
        f"core id\t\t: {cpu % per_package}\nflags\t\t: {flags}\n"
        for cpu in range(logical)
    ]
    return "\n".join(blocks)


ARM = "\n".join(f"processor\t: {n}\nCPU part\t: 0xd40\n" for n in range(4))

MACHINES = {
    # text, allowed CPUs, quota -> cores, kind
    "plain": (cpuinfo(4), range(4), None, 4, "cpu_core"),
    "smt": (cpuinfo(8, threads_per_core=2), range(8), None, 4, "cpu_core"),
    "two packages": (cpuinfo(8, 2, packages=2), range(8), None, 4, "cpu_core"),
    "affinity": (cpuinfo(8), [1, 3], None, 2, "cpu_core"),
    "two siblings are one core": (cpuinfo(8, 2), [1, 5], None, 1, "cpu_core"),
    "quota": (cpuinfo(64), range(64), 2.0, 2, "cpu_core"),
    "fractional quota": (cpuinfo(64), range(64), 1.5, 1.5, "cpu_core"),
    "fractional quota on siblings": (cpuinfo(8, 2), [1, 5], 1.5, 1, "cpu_core"),
    "quota below one thread of smt": (cpuinfo(8, 2), range(8), 0.25, 0.25, "cpu_core"),
    "two siblings of a hypervisor": (
        cpuinfo(8, 2, hypervisor=True),
        [1, 5],
        None,
        2,
        "vcpu",
    ),
    "quota above the mask": (cpuinfo(8), [0, 1], 6.0, 2, "cpu_core"),
    "hypervisor": (cpuinfo(4, 2, hypervisor=True), range(4), None, 4, "vcpu"),
    "hypervisor and quota": (cpuinfo(4, hypervisor=True), range(4), 0.5, 0.5, "vcpu"),
    "arm names no cores": (ARM, range(4), None, 4, "cpu_core"),
    "no cpuinfo": ("", range(3), None, 3, "cpu_core"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_cores_of(machine):
    text, allowed, quota, number, kind = MACHINES[machine]
    found = cores.count(cores.parse_cpuinfo(text), allowed, quota)
    assert (found.count, found.kind) == (number, kind)


def test_the_part_is_named_without_what_changes():
    topology = cores.parse_cpuinfo(cpuinfo(2))
    assert topology.name == "Xeon 8480"
    assert topology.part == "GenuineIntel 6 143 8"


def test_an_arm_part_is_named_by_its_codes():
    text = (
        "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        "CPU variant\t: 0x1\nCPU part\t: 0xd40\nCPU revision\t: 1\n"
    )
    assert cores.parse_cpuinfo(text).part == "0x41 8 0x1 0xd40 1"


FIRMWARE = {
    "a workstation": ("Dell Inc.", "Precision 5820", False),
    "nothing": ("", "", False),
    "Graviton instance": ("Amazon EC2", "m7g.large", True),
    "Graviton, bare": ("Amazon EC2", "m7g.metal", False),
    "Azure": ("Microsoft Corporation", "Virtual Machine", True),
    "Surface": ("Microsoft Corporation", "Surface Pro", False),
    "Google": ("Google", "Google Compute Engine", True),
    "qemu": ("QEMU", "QEMU Virtual Machine", True),
}


@pytest.mark.parametrize("machine", FIRMWARE)
def test_a_hypervisor_without_a_processor_flag_is_found(machine, tmp_path):
    maker, product, virtual = FIRMWARE[machine]
    write(tmp_path / "sys/class/dmi/id/sys_vendor", f"{maker}\n")
    write(tmp_path / "sys/class/dmi/id/product_name", f"{product}\n")
    assert cores.hypervisor(tmp_path) is virtual


@pytest.mark.parametrize("node", ["sys/hypervisor/type", "proc/device-tree/hypervisor"])
def test_a_hypervisors_own_node_is_found(node, tmp_path):
    assert not cores.hypervisor(tmp_path)
    write(tmp_path / node, "xen\n")
    assert cores.hypervisor(tmp_path)


@pytest.mark.parametrize(
    ("text", "quota"),
    [("max 100000", None), ("150000 100000", 1.5), ("-1 100000", None)],
)
def test_quota(text, quota):
    assert cores.parse_quota(text) == quota


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_tightest_quota_of_all_parents_counts(tmp_path):
    write(tmp_path / "cpu.max", "max 100000\n")
    write(tmp_path / "a/cpu.max", "200000 100000\n")
    write(tmp_path / "a/b/cpu.max", "300000 100000\n")
    assert cores.cgroup_quota(tmp_path, "0::/a/b\n") == 2.0
    assert cores.cgroup_quota(tmp_path, "0::/\n") is None


def test_the_longest_period_of_a_quota_counts_and_none_is_zero(tmp_path):
    write(tmp_path / "cpu.max", "max 500000\n")
    write(tmp_path / "a/cpu.max", "150000 100000\n")
    write(tmp_path / "a/b/cpu.max", "300000 250000\n")
    assert cores.quota_period_s(tmp_path, "0::/a/b\n") == 0.25
    assert cores.quota_period_s(tmp_path, "0::/a\n") == 0.1
    assert cores.quota_period_s(tmp_path, "0::/\n") == 0.0


def test_what_a_quota_leaves_of_the_mask_is_spare(monkeypatch):
    monkeypatch.setattr(cores, "topology", lambda: cores.parse_cpuinfo(cpuinfo(64, 2)))
    monkeypatch.setattr(cores, "allowed_cpus", lambda: frozenset(range(64)))
    for quota, spare in ((None, 0.0), (1.5, 30.5), (40.0, 0.0)):
        monkeypatch.setattr(cores, "cgroup_quota", lambda found=quota: found)
        assert cores.spare() == spare


def test_inside_a_container_the_mount_itself_is_the_group(tmp_path):
    write(tmp_path / "cpu.max", "50000 100000\n")
    assert cores.cgroup_quota(tmp_path, "0::/docker/1234\n") == 0.5


def test_version_one_groups(tmp_path):
    write(tmp_path / "cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n")
    write(tmp_path / "cpu,cpuacct/x/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "memory/x/memory.limit_in_bytes", f"{2**31}\n")
    write(tmp_path / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    membership = "4:cpu,cpuacct:/x\n3:memory:/x\n0::/\n"
    assert cores.cgroup_quota(tmp_path, membership) == 2.5
    assert cores.cgroup_memory(tmp_path, membership) == 2**31


def test_no_memory_limit_is_none(tmp_path):
    write(tmp_path / "memory.max", "max\n")
    assert cores.cgroup_memory(tmp_path, "0::/\n") is None


def test_threads_are_whole_and_at_least_one(monkeypatch):
    for count, threads in ((0.5, 1), (1.5, 2), (2.0, 2)):
        monkeypatch.setattr(cores, "usable", lambda n=count: cores.Cores(n, "vcpu"))
        assert cores.threads() == threads


def test_this_machine_has_some():
    found = cores.usable()
    assert 0 < found.count <= len(cores.allowed_cpus())
    assert found.kind in ("vcpu", "cpu_core")
