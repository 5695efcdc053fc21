"""A Docker Engine: images made from builds, the labels on our objects, and their cleanup."""

from buildkit_bisect.engine.client import connect
from buildkit_bisect.engine.connection import Engine, open_engine
from buildkit_bisect.engine.contexts import Endpoint, endpoint

__all__ = ["Endpoint", "Engine", "connect", "endpoint", "open_engine"]
