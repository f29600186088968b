"""Recipes as data: what an optimiser step depends on, and the papers' values."""
