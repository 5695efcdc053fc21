"""A Docker Engine: images made from builds, the labels on our objects, and their cleanup."""

from buildkit_bisect.engine.client import connect
from buildkit_bisect.engine.contexts import Endpoint, endpoint
from buildkit_bisect.engine.session import Engine, open_engine

__all__ = ["Endpoint", "Engine", "connect", "endpoint", "open_engine"]
