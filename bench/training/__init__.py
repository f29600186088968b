"""The training protocol: loop, accounting, few-shot probes."""
