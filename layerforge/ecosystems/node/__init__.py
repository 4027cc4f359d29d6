"""Node.js: package-lock.json read into values, and what of it a target needs."""
