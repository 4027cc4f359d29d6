"""Build AWS Lambda layers: right for the runtime, small, reproducible, fast."""

__version__ = "0.1.0"
