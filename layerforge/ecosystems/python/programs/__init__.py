"""Programs that a target's interpreter runs, in a container or beside its layer.

They are handed over as files: none of them imports anything of layerforge's.
"""
