"""Layers of Python packages."""
