"""Zips and tarballs, read strictly."""
