"""The measurement protocol: windows, batch sweep, ceilings."""
