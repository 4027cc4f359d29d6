"""Build containers: jobs in the target's own system, through a Docker engine.

A container answers questions (which versions, does it import) and makes artifacts (a
wheel out of an sdist); it never lays out a layer. The only room that imports docker,
and only once a container is really wanted.
"""
